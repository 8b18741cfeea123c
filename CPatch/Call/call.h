// What the parts of this module share.
#ifndef HP_CALL_PARTS_H
#define HP_CALL_PARTS_H

#include "hp_call.h"

#define HIDDEN __attribute__((visibility("hidden")))

// The entries, in assembly. A thunk hands its box over in a register of its own, a function value in the context's.
HIDDEN void hp_call_entry(void);
HIDDEN void hp_call_closure_entry(void);
HIDDEN void hp_call_async_entry(void);
HIDDEN void hp_call_async_resumed(void);
// The async function pointer of a function value whose context is a box: the entry, relative to itself, and the size of its context.
HIDDEN extern const int32_t hp_call_async_function[2];

// What the entries call.
HIDDEN void hp_call_prepare(hp_call_box *box, uint8_t *frame);
HIDDEN void hp_call_finish(uint8_t *frame, const void *error);

// Where an async entry goes on, and whether vector registers hold anything then.
typedef struct hp_call_next {
    const void *code;
    uint64_t vectors;
} hp_call_next;
HIDDEN hp_call_next hp_call_async_begin(hp_call_box *box, uint8_t *registers);
HIDDEN hp_call_next hp_call_async_end(uint8_t *frame, uint8_t *registers);

// The Swift runtime (swift/stdlib/public/runtime/HeapObject.cpp).
extern void *swift_allocObject(const void *metadata, size_t size, size_t alignment_mask);
extern void swift_deallocObject(void *object, size_t size, size_t alignment_mask);
extern void *swift_retain(void *object);
extern void swift_release(void *object);

#endif
