// What the parts of this module share.
#ifndef HP_CALL_PARTS_H
#define HP_CALL_PARTS_H

#include "hp_call.h"

#define HIDDEN __attribute__((visibility("hidden")))

// The entries, in assembly. A thunk hands its adapter over in a register of its own, a function value in the context's.
HIDDEN void hp_call_entry(void);
HIDDEN void hp_call_closure_entry(void);
HIDDEN void hp_call_async_entry(void);
HIDDEN void hp_call_dispatch_entry(void);
// Finds out which vector registers the machine has. It is called before there is a thunk that leads to the dispatch entry.
HIDDEN void hp_call_prepare_vectors(void);
#if defined(__x86_64__)
// Bits of XCR0: what of vectors lies beyond their first 16 bytes.
HIDDEN extern uint32_t hp_call_upper_vectors;
// Whether xgetbv tells which of that are in use. Otherwise all are taken to be.
HIDDEN extern uint32_t hp_call_tells_vectors_in_use;
#endif
// What that calls: where the call goes on.
HIDDEN hp_call_destination hp_call_dispatch(const hp_call_dispatcher *dispatcher);
HIDDEN void hp_call_async_resumed(void);
// Async function pointers of function values whose context is an adapter (swift/include/swift/ABI/Task.h, AsyncFunctionPointer). A
// caller allocates the context of a call in the size that is written there: where that has room for the adapter's frame and the
// target's context, nothing more need be allocated. The first has no room, and the others as much as HP_CALL_ASYNC_SIZES.
typedef struct hp_call_async_function {
    int32_t code;  // relative to this
    uint32_t context_size;
} hp_call_async_function;
HIDDEN extern const hp_call_async_function hp_call_async_functions[];

// What the async entries call. The first lays out the frame of a call, in `space` or in memory of its own, and returns it. The second
// frees what was allocated and returns the caller's context.
HIDDEN uint8_t *hp_call_async_begin(hp_call_adapter *adapter, void *caller, void *space);
HIDDEN void *hp_call_async_end(uint8_t *frame);
// Bytes from the start of the space for a call to the end of the target's context.
HIDDEN size_t hp_call_async_size(const hp_call_adapter *adapter);

// The Swift runtime (swift/stdlib/public/runtime/HeapObject.cpp).
extern void *swift_allocObject(const void *metadata, size_t size, size_t alignment_mask);
extern void swift_deallocObject(void *object, size_t size, size_t alignment_mask);
extern const void *swift_getObjectType(void *object);
typedef struct swift_box {
    void *object;
    void *value;
} swift_box;
extern __attribute__((swiftcall)) swift_box swift_allocBox(const void *type);
extern void *swift_retain(void *object);
extern void swift_release(void *object);

#endif
