// Adapters of async functions.
//
// An async function has its arguments where any function has them, and in a register of its own the context of the call: the
// caller's context, and where to go on. It returns by jumping there with the results as arguments, and with an error, or NULL, in the
// register of self (swift/docs/ABI/CallConvSummary.rst; swift/include/swift/ABI/Task.h, AsyncContext). The thread's stack does not
// last from one to the other: the frame lies in memory of the task instead, with the context of the target behind it.
//
// Every call being a jump, whoever is called takes its arguments off the stack (LLVM's swifttailcc), so that the next may put its own
// there: the entries copy the caller's into the frame, and leave the target's in their place.

#include <string.h>

#include "call.h"

// swift/include/swift/Runtime/Concurrency.h: memory of the current task, freed in reverse order.
extern void *swift_task_alloc(size_t size);
extern void swift_task_dealloc(void *block);

typedef struct async_context {
    struct async_context *parent;
    const void *resume;
} async_context;

_Static_assert(offsetof(async_context, resume) == HP_CALL_ASYNC_RESUME, "for the entries");

// Before the target's context: hp_call_async_resumed finds the frame there.
typedef struct async_link {
    uint8_t *frame;
    async_context *caller;
} async_link;
_Static_assert(sizeof(async_link) == HP_CALL_ASYNC_LINK, "for the entries");

// One after the other lie the context that a caller provides, or nothing in its place; scratch space for values; the frame; the link; the
// target's context.
static size_t before_frame(const hp_call_adapter *adapter) { return sizeof(async_context) + adapter->program->scratch; }

size_t hp_call_async_size(const hp_call_adapter *adapter) {
    return before_frame(adapter) + HP_CALL_FRAME_SIZE + sizeof(async_link) + adapter->async_context_size;
}

static void set(uint8_t *at, const void *value) { memcpy(at, &value, sizeof value); }

// The entries copy the registers, by words, as they were saved: what is loaded in larger parts has to wait for the stores.
static inline uint8_t *lay_out(hp_call_adapter *adapter, void *caller, void *space) {
    uint8_t *frame = (uint8_t *)space + before_frame(adapter);
    async_link *link = (async_link *)(frame + HP_CALL_FRAME_SIZE);
    async_context *context = (async_context *)(link + 1);
    *link = (async_link){frame, caller};
    *context = (async_context){caller, (const void *)(uintptr_t)hp_call_async_resumed};
    set(frame + HP_CALL_FRAME_ADAPTER, adapter);
    set(frame + HP_CALL_OUT + HP_CALL_CONTEXT, adapter->context);
    return frame;
}

// Apart, so that calls whose context has room keep no registers for it.
static __attribute__((noinline)) uint8_t *allocate(hp_call_adapter *adapter, void *caller) {
    return lay_out(adapter, caller, swift_task_alloc(hp_call_async_size(adapter)));
}

static __attribute__((noinline)) void *deallocate(void *space, void *caller) {
    swift_task_dealloc(space);
    return caller;
}

uint8_t *hp_call_async_begin(hp_call_adapter *adapter, void *caller, void *space) {
    return space ? lay_out(adapter, caller, space) : allocate(adapter, caller);
}

void *hp_call_async_end(uint8_t *frame) {
    const hp_call_adapter *adapter;
    memcpy(&adapter, frame + HP_CALL_FRAME_ADAPTER, sizeof adapter);
    async_context *caller = ((async_link *)(frame + HP_CALL_FRAME_SIZE))->caller;
    void *space = frame - before_frame(adapter);
    return space == caller ? caller : deallocate(space, caller);
}
