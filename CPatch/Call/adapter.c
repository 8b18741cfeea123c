// Adapters: objects that the Swift runtime counts, so that a function value can have one as its context.

#include "call.h"

// The runtime calls it when the last reference is gone, with the object as self.
static __attribute__((swiftcall)) void destroy_adapter(__attribute__((swift_context)) hp_call_adapter *adapter) {
    if (adapter->owned) swift_release(adapter->owned);
    if (adapter->observer) swift_release(adapter->observer);
    swift_deallocObject(adapter, sizeof *adapter, 15);
}

// What the compiler emits for the context of a closure: the kind HeapLocalVariable, and before it no value witnesses and how the
// object is destroyed (swift/include/swift/ABI/MetadataKind.def; TypeMetadata.rst).
static const struct {
    __attribute__((swiftcall)) void (*destroy)(__attribute__((swift_context)) hp_call_adapter *);
    const void *value_witnesses;
    uint64_t kind;
} metadata = {destroy_adapter, 0, 0x400};

hp_call_adapter *hp_call_make_adapter(
    const hp_call_program *program, const void *target, void *context, void *owned, uint64_t async_context_size) {
    hp_call_adapter *adapter = swift_allocObject(&metadata.kind, sizeof *adapter, 15);
    adapter->program = program;
    adapter->target = target;
    adapter->context = context;
    adapter->owned = owned;
    adapter->async_context_size = async_context_size;
    adapter->observer = NULL;
    return adapter;
}

hp_call_adapter *hp_call_make_closure_adapter(
    const hp_call_program *program, const void *function, void *context, hp_call_ownership ownership) {
    if (ownership == HP_CALL_RETAINS && context) swift_retain(context);
    void *owned = ownership == HP_CALL_BORROWS ? NULL : context;
    if (!program->is_async) return hp_call_make_adapter(program, function, context, owned, 0);
    const hp_call_async_function *record = function;
    return hp_call_make_adapter(program, (const uint8_t *)record + record->code, context, owned, record->context_size);
}

const void *hp_call_adapter_function(const hp_call_adapter *adapter) {
    if (!adapter->program->is_async) return (const void *)(uintptr_t)hp_call_closure_entry;
    static const size_t sizes[] = {HP_CALL_ASYNC_SIZES};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (hp_call_async_size(adapter) <= sizes[i]) return &hp_call_async_functions[i + 1];
    }
    return &hp_call_async_functions[0];
}

void hp_call_adapter_set_observer(hp_call_adapter *adapter, void *observer) { adapter->observer = observer; }

hp_call_destination hp_call_adapter_destination(const hp_call_adapter *adapter) {
    return (hp_call_destination){
        (const void *)(uintptr_t)(adapter->program->is_async ? hp_call_async_entry : hp_call_entry), adapter};
}
