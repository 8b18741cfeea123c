// Adapters of async functions.
//
// An async function has its arguments where any function has them, and in a register of its own the context of the call: the
// caller's context, and where to go on. It returns by jumping there with the results as arguments, and with an error, or NULL, in the
// register of self (swift/docs/ABI/CallConvSummary.rst; swift/include/swift/ABI/Task.h, AsyncContext). The thread's stack does not
// last from one to the other: the frame lies in memory of the task instead, with the context of the target behind it.

#include <string.h>

#include "call.h"

// swift/include/swift/Runtime/Concurrency.h: memory of the current task, freed in reverse order.
extern void *swift_task_alloc(size_t size);
extern void swift_task_dealloc(void *block);

typedef struct async_context {
    struct async_context *parent;
    const void *resume;
} async_context;

// In front of the room below the frame.
typedef struct async_block {
    async_context *caller;
    uint64_t spare;
} async_block;

// Before the target's context lies where the frame is: hp_call_async_resumed finds it there.
enum { LINK = HP_CALL_ASYNC_LINK };

static void *at(uint8_t *registers, size_t offset) {
    void *value;
    memcpy(&value, registers + offset, sizeof value);
    return value;
}

static void set(uint8_t *registers, size_t offset, const void *value) {
    memcpy(registers + offset, &value, sizeof value);
}

static size_t used(const hp_call_program *program, uint32_t vectors) {
    return program->flags & vectors ? HP_CALL_REGISTERS_SIZE : HP_CALL_VECTOR(0);
}

hp_call_next hp_call_async_begin(hp_call_box *box, uint8_t *registers) {
    const hp_call_program *program = box->program;
    size_t before = sizeof(async_block) + program->room;
    async_block *block = swift_task_alloc(before + HP_CALL_FRAME_SIZE + LINK + box->async_context_size);
    uint8_t *frame = (uint8_t *)block + before;
    async_context *context = (async_context *)(frame + HP_CALL_FRAME_SIZE + LINK);
    block->caller = at(registers, HP_CALL_ASYNC_CONTEXT);
    set((uint8_t *)context - LINK, 0, frame);
    context->parent = block->caller;
    context->resume = (const void *)(uintptr_t)hp_call_async_resumed;

    memcpy(frame, registers, used(program, HP_CALL_VECTORS_IN));
    set(frame, HP_CALL_FRAME_BOX, box);
    hp_call_prepare(box, frame);
    memcpy(registers, frame + HP_CALL_OUT, used(program, HP_CALL_VECTORS_OUT));
    set(registers, HP_CALL_ASYNC_CONTEXT, context);
    return (hp_call_next){box->target, program->flags & HP_CALL_VECTORS_OUT};
}

hp_call_next hp_call_async_end(uint8_t *frame, uint8_t *registers) {
    const hp_call_program *program = ((hp_call_box *)at(frame, HP_CALL_FRAME_BOX))->program;
    async_block *block = (async_block *)(frame - program->room - sizeof(async_block));
    const void *error = program->flags & HP_CALL_THROWS ? at(registers, HP_CALL_CONTEXT) : NULL;
    uint32_t vectors = program->flags & HP_CALL_VECTORS_RESULT;
    enum { GENERALS = HP_CALL_RESULT_VECTOR(0) - HP_CALL_RESULT, VECTORS = HP_CALL_FRAME_BOX - HP_CALL_RESULT_VECTOR(0) };

    if (program->flags & HP_CALL_TO_NATURAL) {
        memcpy(frame + HP_CALL_RESULT, registers, GENERALS);
        if (vectors) memcpy(frame + HP_CALL_RESULT_VECTOR(0), registers + HP_CALL_VECTOR(0), VECTORS);
    }
    if (program->flags & HP_CALL_FINISHES) hp_call_finish(frame, error);
    if (!(program->flags & HP_CALL_TO_NATURAL)) {
        memcpy(registers, frame + HP_CALL_RESULT, GENERALS);
        if (vectors) memcpy(registers + HP_CALL_VECTOR(0), frame + HP_CALL_RESULT_VECTOR(0), VECTORS);
    }
    async_context *caller = block->caller;
    swift_task_dealloc(block);
    set(registers, HP_CALL_CONTEXT, error);
    set(registers, HP_CALL_ASYNC_CONTEXT, caller);
    return (hp_call_next){caller->resume, vectors};
}
