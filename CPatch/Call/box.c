// Boxes: objects that the Swift runtime counts, so that a function value can have one as its context.

#include <stdatomic.h>

#include "call.h"

static _Atomic int64_t living;

// The runtime calls it when the last reference is gone, with the object as self.
static __attribute__((swiftcall)) void destroy_box(__attribute__((swift_context)) hp_call_box *box) {
    if (box->owned) swift_release(box->owned);
    if (box->observer) swift_release(box->observer);
    atomic_fetch_sub_explicit(&living, 1, memory_order_relaxed);
    swift_deallocObject(box, sizeof *box, 15);
}

// What the compiler emits for the context of a closure: the kind HeapLocalVariable, and before it no value witnesses and how the
// object is destroyed (swift/include/swift/ABI/MetadataKind.def; TypeMetadata.rst).
static const struct {
    __attribute__((swiftcall)) void (*destroy)(__attribute__((swift_context)) hp_call_box *);
    const void *value_witnesses;
    uint64_t kind;
} metadata = {destroy_box, 0, 0x400};

hp_call_box *hp_call_make_box(
    const hp_call_program *program, const void *target, void *context, void *owned, uint64_t async_context_size) {
    hp_call_box *box = swift_allocObject(&metadata.kind, sizeof *box, 15);
    box->program = program;
    box->target = target;
    box->context = context;
    box->owned = owned;
    box->async_context_size = async_context_size;
    box->observer = NULL;
    atomic_fetch_add_explicit(&living, 1, memory_order_relaxed);
    return box;
}

hp_call_box *hp_call_make_closure_box(
    const hp_call_program *program, const void *function, void *context, hp_call_ownership ownership) {
    if (ownership == HP_CALL_RETAINS && context) swift_retain(context);
    void *owned = ownership == HP_CALL_BORROWS ? NULL : context;
    if (!program->is_async) return hp_call_make_box(program, function, context, owned, 0);
    const hp_call_async_function *record = function;
    return hp_call_make_box(program, (const uint8_t *)record + record->code, context, owned, record->context_size);
}

const void *hp_call_box_function(const hp_call_box *box) {
    if (!box->program->is_async) return (const void *)(uintptr_t)hp_call_closure_entry;
    static const size_t sizes[] = {HP_CALL_ASYNC_SIZES};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (hp_call_async_size(box) <= sizes[i]) return &hp_call_async_functions[i + 1];
    }
    return &hp_call_async_functions[0];
}

void hp_call_box_set_observer(hp_call_box *box, void *observer) { box->observer = observer; }

hp_call_destination hp_call_box_destination(const hp_call_box *box) {
    return (hp_call_destination){
        (const void *)(uintptr_t)(box->program->is_async ? hp_call_async_entry : hp_call_entry), box};
}

int64_t hp_call_living_boxes(void) { return atomic_load_explicit(&living, memory_order_relaxed); }
