// Adapters between two conventions of one Swift function type.
//
// A Swift function has a *natural* convention: values in the registers of the machine, as its callers and its symbol have it. A
// function value that was passed as a generic `F` has the *abstract* one: a pointer for each parameter, and one for the result
// (swift/docs/ABI/CallingConvention.rst; the compiler calls them abstraction patterns). An adapter is called in one and calls in
// the other.
//
// There is no code per signature. A program, made by SwiftCall from a plan, is lists of moves: what to do with what came in
// before the target is called, and with what it returned. The entry, in assembly, saves the registers into a frame, has the first
// list run, calls the target with the registers that it left in the frame, and has the second list run. Nothing of this
// is on the stack during the call but the frame of the entry, which unwinders can read.
//
// A list is threaded code: each move names the function that makes it, which goes on to the next move's with a jump.
#ifndef HP_CALL_H
#define HP_CALL_H

#if defined(__x86_64__)
#define HP_CALL_GENERALS 6
// Bits of XCR0 (Intel SDM vol. 1, 13.3).
#define HP_CALL_UPPER_YMM_BIT 2
#define HP_CALL_UPPER_ZMM_BIT 6
#elif defined(__aarch64__)
#define HP_CALL_GENERALS 8
#endif

// The frame. Moves address it by offset: what the caller left on the stack lies above it (of an async function, at the top of the
// scratch space), room for values and the stack of the target below it. HP_CALL_GENERALS is all that differs between machines.
#define HP_CALL_GENERAL(n) ((n) * 8)
#define HP_CALL_CONTEXT (HP_CALL_GENERALS * 8)
#define HP_CALL_INDIRECT (HP_CALL_CONTEXT + 8)
#define HP_CALL_VECTOR(n) (HP_CALL_INDIRECT + 8 + (n) * 16)
#define HP_CALL_REGISTERS_SIZE HP_CALL_VECTOR(8)
#define HP_CALL_OUT HP_CALL_REGISTERS_SIZE
#define HP_CALL_RESULT (2 * HP_CALL_REGISTERS_SIZE)
#define HP_CALL_RESULT_VECTOR(n) (HP_CALL_RESULT + 32 + (n) * 16)
#define HP_CALL_FRAME_ADAPTER HP_CALL_RESULT_VECTOR(4)
#define HP_CALL_FRAME_ERROR (HP_CALL_FRAME_ADAPTER + 8)  // what was thrown, once the moves after the call run
#define HP_CALL_FRAME_CALL (HP_CALL_FRAME_ADAPTER + 16)  // an observer's own
#define HP_CALL_FRAME_SIZE (HP_CALL_FRAME_ADAPTER + 32)

// The entries of an async function save the registers on the stack, and behind them a pointer to the frame, which lies elsewhere.
#define HP_CALL_ASYNC_FRAME HP_CALL_REGISTERS_SIZE
#define HP_CALL_ASYNC_FLAGS (HP_CALL_ASYNC_FRAME + 8)
#define HP_CALL_ASYNC_SIZE (HP_CALL_ASYNC_FRAME + 16)
// A pointer to the frame is stored this many bytes before the target's context, too.
#define HP_CALL_ASYNC_LINK 16
#define HP_CALL_ASYNC_RESUME 8
// The sizes of context that callers may be told to allocate: those of hp_call_async_functions in call.h, but the first.
#define HP_CALL_ASYNC_SIZES 640, 1024, 2048, 4096

// hp_call_adapter and the others, for the assembly.
#define HP_CALL_ADAPTER_PROGRAM 16
#define HP_CALL_ADAPTER_TARGET 24
#define HP_CALL_ADAPTER_CONTEXT 32
#define HP_CALL_PROGRAM_PREPARE 0
#define HP_CALL_PROGRAM_SUCCESS 8
#define HP_CALL_PROGRAM_FAILURE 16
#define HP_CALL_PROGRAM_SCRATCH 24
#define HP_CALL_PROGRAM_FLAGS 28
#define HP_CALL_PROGRAM_STACK_IN 36
#define HP_CALL_PROGRAM_STACK_OUT 40
#define HP_CALL_PROGRAM_STACK_POP 44
#define HP_CALL_STEP_RUN 0

// Which conventions a program leads from and to, and which registers it needs.
#define HP_CALL_TO_NATURAL_BIT 0      // the target is natural and returns in registers; else the caller is
#define HP_CALL_VECTORS_IN_BIT 1      // vector registers hold arguments of the caller
#define HP_CALL_VECTORS_OUT_BIT 2     // vector registers hold arguments for the target
#define HP_CALL_VECTORS_RESULT_BIT 3  // vector registers hold results
#define HP_CALL_FINISHES_BIT 4        // there are moves for after the call
#define HP_CALL_ASYNC_STACK_BIT 5     // it is async, and there are arguments on the stack, of the caller or for the target
#define HP_CALL_TO_NATURAL (1 << HP_CALL_TO_NATURAL_BIT)
#define HP_CALL_VECTORS_IN (1 << HP_CALL_VECTORS_IN_BIT)
#define HP_CALL_VECTORS_OUT (1 << HP_CALL_VECTORS_OUT_BIT)
#define HP_CALL_VECTORS_RESULT (1 << HP_CALL_VECTORS_RESULT_BIT)
#define HP_CALL_FINISHES (1 << HP_CALL_FINISHES_BIT)
#define HP_CALL_ASYNC_STACK (1 << HP_CALL_ASYNC_STACK_BIT)

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

// A move. `frame[n]` is what lies n bytes from the frame, and `at(n)` what the pointer there points to.
typedef enum hp_call_op {
    HP_CALL_COPY_1,       // frame[to] = frame[from], so many bytes
    HP_CALL_COPY_2,
    HP_CALL_COPY_4,
    HP_CALL_COPY_8,
    HP_CALL_COPY_16,
    HP_CALL_COPY,         // the same, `count` bytes
    HP_CALL_COPY_BIT,     // a Bool: the bits above its lowest are undefined in a register
    HP_CALL_LOAD_1,       // frame[to] = at(from)[offset], so many bytes; the rest of the 8 becomes 0
    HP_CALL_LOAD_2,
    HP_CALL_LOAD_4,
    HP_CALL_LOAD_8,
    HP_CALL_LOAD_16,
    HP_CALL_LOAD_PART,    // the same, `count` bytes, fewer than 8
    HP_CALL_LOAD,         // `count` bytes and nothing else
    HP_CALL_STORE_1,      // at(to)[offset] = frame[from], so many bytes
    HP_CALL_STORE_2,
    HP_CALL_STORE_4,
    HP_CALL_STORE_8,
    HP_CALL_STORE_16,
    HP_CALL_STORE,        // the same, `count` bytes
    HP_CALL_STORE_BIT,
    HP_CALL_ADDRESS,      // frame[to] = the address of frame[from]
    HP_CALL_ADVANCE,      // frame[to] = the pointer at frame[from], plus `offset`
    HP_CALL_WORD,         // frame[to] = datum
    HP_CALL_COPY_VALUE,   // frame[to] = a copy of at(from), a value of the type `datum`
    HP_CALL_DESTROY,      // destroys at(from), a value of the type `datum`
    HP_CALL_CLOSE,        // frame[to] = an existential: a copy of at(from), its type frame[offset], its witnesses frame[count]
    HP_CALL_OPEN,         // the inverse: frame[to] = the address of the value in the existential at(from)
    HP_CALL_OBJECT_TYPE,  // frame[to] = the type of the object at(from)[0]
    HP_CALL_CLOSURE,      // converts the function value frame[to] by the program `datum`; `count` is an hp_call_ownership
    HP_CALL_RELEASE,      // releases the object at frame[from]
    HP_CALL_OBSERVE,      // tells the function `datum`, an hp_call_observe, of the event `count`
    HP_CALL_END,          // the end of a list
} hp_call_op;

// What a converted function value does with the context of the one it was made from.
typedef enum hp_call_ownership {
    HP_CALL_BORROWS,   // not escaping: the context need not even be an object
    HP_CALL_RETAINS,   // the one it was made from stays its owner's
    HP_CALL_CONSUMES,  // takes it over
} hp_call_ownership;

// Is told that the target is about to be called (0), that it returned (1), or that it threw (2).
typedef void hp_call_observe(uint8_t *_Nonnull frame, int32_t event);

typedef struct hp_call_step {
    const void *_Nonnull run;  // code: of hp_call_move
    int32_t from;
    int32_t to;
    int32_t offset;
    int32_t count;
    const void *_Nullable datum;
} hp_call_step;

// What makes a move, for hp_call_step.run.
const void *_Nonnull hp_call_move(hp_call_op op);

// Immutable once made, and never freed: code that runs may be using it. Each list ends with HP_CALL_END.
typedef struct hp_call_program {
    const hp_call_step *_Nonnull prepare;  // before the call
    const hp_call_step *_Nonnull success;  // after it
    const hp_call_step *_Nonnull failure;  // after it if it threw; where it cannot throw, the same list
    uint32_t scratch;                      // bytes below the frame, a multiple of 16
    uint32_t flags;
    uint32_t is_async;
    // The callee of an async function takes its arguments off the stack. The first counts the bytes of the caller's arguments there,
    // which are copied to the top of the scratch space; the second those of the target's, which lie at its lower end; the third says how
    // many bytes more are taken off than put on.
    uint32_t stack_in;
    uint32_t stack_out;
    int32_t stack_pop;
} hp_call_program;

// An adapter: the context of a function value, or what a thunk names. An object of the Swift runtime.
typedef struct hp_call_adapter {
    const void *_Nonnull metadata;
    uint64_t reference_count;
    const hp_call_program *_Nonnull program;
    const void *_Nonnull target;        // code
    void *_Nullable context;            // the target's, where it is a function value
    void *_Nullable owned;              // released with the adapter
    uint64_t async_context_size;        // bytes the target needs, where it is async
    void *_Nullable observer;           // released with the adapter
} hp_call_adapter;

// A new adapter, owned by the caller. It takes over `owned`.
hp_call_adapter *_Nonnull hp_call_make_adapter(
    const hp_call_program *_Nonnull program, const void *_Nonnull target, void *_Nullable context, void *_Nullable owned,
    uint64_t async_context_size);

// A new adapter to a function value in memory: its code, or its async function pointer, and its context.
hp_call_adapter *_Nonnull hp_call_make_closure_adapter(
    const hp_call_program *_Nonnull program, const void *_Nonnull function, void *_Nullable context,
    hp_call_ownership ownership);

// Gives the adapter an observer, which it takes over. Before the adapter is used.
void hp_call_adapter_set_observer(hp_call_adapter *_Nonnull adapter, void *_Nonnull observer);

// The first word of a function value whose context is the adapter.
const void *_Nonnull hp_call_adapter_function(const hp_call_adapter *_Nonnull adapter);

// Code that callers may jump to as if it were a function, and which enters the adapter. The adapter is kept for good, as is the code.
// NULL where there is no memory: errno says why.
const void *_Nullable hp_call_make_thunk(hp_call_adapter *_Nonnull adapter);

// What a call runs: code, and where that is an adapter's entry the adapter that it finds in the register of thunks.
typedef struct hp_call_destination {
    const void *_Nullable code;
    const void *_Nullable adapter;
} hp_call_destination;

hp_call_destination hp_call_adapter_destination(const hp_call_adapter *_Nonnull adapter);

// A function whose calls are looked up one by one.
typedef struct hp_call_dispatcher {
    // What the call at hand runs. No code: the original. Runs on the caller's thread, between the call and its first instruction.
    // What it calls itself is not looked up.
    hp_call_destination (*_Nonnull look_up)(const void *_Nonnull dispatcher);
    const void *_Nullable original;  // code; written before the first call
} hp_call_dispatcher;

// Code that callers may jump to as if it were the function, whatever its convention is: all that System V and AAPCS64 pass
// arguments in is kept, whole. Not for arm64's two variants, whose callers rely on more (STO_AARCH64_VARIANT_PCS). The dispatcher must stay,
// as does the code. NULL where there is no memory: errno says why.
const void *_Nullable hp_call_make_dispatch_thunk(const hp_call_dispatcher *_Nonnull dispatcher);

#endif
#endif
