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

// One after the other lie the context that a caller provides, or nothing in its place; room for values; the frame; the link; the
// target's context.
static size_t before_frame(const hp_call_box *box) { return sizeof(async_context) + box->program->room; }

size_t hp_call_async_size(const hp_call_box *box) {
    return before_frame(box) + HP_CALL_FRAME_SIZE + sizeof(async_link) + box->async_context_size;
}

static void set(uint8_t *at, const void *value) { memcpy(at, &value, sizeof value); }

// The entries copy the registers, by words, as they were saved: what is loaded in larger parts has to wait for the stores.
static inline uint8_t *lay_out(hp_call_box *box, void *caller, void *room) {
    uint8_t *frame = (uint8_t *)room + before_frame(box);
    async_link *link = (async_link *)(frame + HP_CALL_FRAME_SIZE);
    async_context *context = (async_context *)(link + 1);
    *link = (async_link){frame, caller};
    *context = (async_context){caller, (const void *)(uintptr_t)hp_call_async_resumed};
    set(frame + HP_CALL_FRAME_BOX, box);
    set(frame + HP_CALL_OUT + HP_CALL_CONTEXT, box->context);
    return frame;
}

// Apart, so that calls whose context has room keep no registers for it.
static __attribute__((noinline)) uint8_t *allocate(hp_call_box *box, void *caller) {
    return lay_out(box, caller, swift_task_alloc(hp_call_async_size(box)));
}

static __attribute__((noinline)) void *deallocate(void *room, void *caller) {
    swift_task_dealloc(room);
    return caller;
}

uint8_t *hp_call_async_begin(hp_call_box *box, void *caller, void *room) {
    return room ? lay_out(box, caller, room) : allocate(box, caller);
}

void *hp_call_async_end(uint8_t *frame) {
    const hp_call_box *box;
    memcpy(&box, frame + HP_CALL_FRAME_BOX, sizeof box);
    async_context *caller = ((async_link *)(frame + HP_CALL_FRAME_SIZE))->caller;
    void *room = frame - before_frame(box);
    return room == caller ? caller : deallocate(room, caller);
}
