// The moves of a program. Each ends with a jump to the next: no loop, no table of cases, nothing saved in between.

#include <string.h>

#include "call.h"

_Static_assert(offsetof(hp_call_adapter, program) == HP_CALL_ADAPTER_PROGRAM, "for the entries");
_Static_assert(offsetof(hp_call_adapter, target) == HP_CALL_ADAPTER_TARGET, "for the entries");
_Static_assert(offsetof(hp_call_adapter, context) == HP_CALL_ADAPTER_CONTEXT, "for the entries");
_Static_assert(offsetof(hp_call_program, prepare) == HP_CALL_PROGRAM_PREPARE, "for the entries");
_Static_assert(offsetof(hp_call_program, success) == HP_CALL_PROGRAM_SUCCESS, "for the entries");
_Static_assert(offsetof(hp_call_program, failure) == HP_CALL_PROGRAM_FAILURE, "for the entries");
_Static_assert(HP_CALL_PROGRAM_FAILURE == HP_CALL_PROGRAM_SUCCESS + 8, "arm64 loads both at once");
_Static_assert(offsetof(hp_call_program, scratch) == HP_CALL_PROGRAM_SCRATCH, "for the entries");
_Static_assert(offsetof(hp_call_program, flags) == HP_CALL_PROGRAM_FLAGS, "for the entries");
_Static_assert(offsetof(hp_call_program, stack_in) == HP_CALL_PROGRAM_STACK_IN, "for the entries");
_Static_assert(offsetof(hp_call_program, stack_out) == HP_CALL_PROGRAM_STACK_OUT, "for the entries");
_Static_assert(offsetof(hp_call_program, stack_pop) == HP_CALL_PROGRAM_STACK_POP, "for the entries");
_Static_assert(offsetof(hp_call_step, run) == HP_CALL_STEP_RUN, "for the entries");
_Static_assert(HP_CALL_FRAME_SIZE % 16 == 0, "the stack pointer stays aligned");

// The value witness table lies before the metadata (swift/docs/ABI/TypeMetadata.rst).
typedef struct value_witnesses {
    void *(*initialize_buffer_with_copy_of_buffer)(void *, void *, const void *);
    void (*destroy)(void *value, const void *type);
    void *(*initialize_with_copy)(void *to, void *from, const void *type);
    void *others[5];
    size_t size;
    size_t stride;
    uint32_t flags;
} value_witnesses;

static const value_witnesses *witnesses(const void *type) { return ((const value_witnesses *const *)type)[-1]; }

static uint8_t *pointer(const uint8_t *frame, int32_t at) {
    uint8_t *value;
    memcpy(&value, frame + at, sizeof value);
    return value;
}

static void set_pointer(uint8_t *frame, int32_t at, const void *value) { memcpy(frame + at, &value, sizeof value); }

// A nil of type Optional has no code, and a context that nobody may look at.
static void convert_closure(uint8_t *value, const hp_call_program *program, hp_call_ownership ownership) {
    void *words[2];
    memcpy(words, value, sizeof words);
    if (words[0]) {
        hp_call_adapter *adapter = hp_call_make_closure_adapter(program, words[0], words[1], ownership);
        words[0] = (void *)(uintptr_t)hp_call_adapter_function(adapter);
        words[1] = adapter;
    } else {
        words[1] = NULL;
    }
    memcpy(value, words, sizeof words);
}

typedef void move(const hp_call_step *step, uint8_t *frame);

#define MOVE(name) static void name(const hp_call_step *step, uint8_t *frame)
#define NEXT                                                     \
    step++;                                                      \
    __attribute__((musttail)) return ((move *)step->run)(step, frame)

#define COPY(name, count)                                   \
    MOVE(name) {                                            \
        memcpy(frame + step->to, frame + step->from, count); \
        NEXT;                                               \
    }
COPY(copy_1, 1)
COPY(copy_2, 2)
COPY(copy_4, 4)
COPY(copy_8, 8)
COPY(copy_16, 16)
COPY(copy, step->count)

MOVE(copy_bit) {
    frame[step->to] = frame[step->from] & 1;
    NEXT;
}

// Loads so much of a register, and clears what is left of it.
#define LOAD(name, type)                                                       \
    MOVE(name) {                                                               \
        type part;                                                             \
        memcpy(&part, pointer(frame, step->from) + step->offset, sizeof part); \
        uint64_t whole = part;                                                 \
        memcpy(frame + step->to, &whole, sizeof whole);                        \
        NEXT;                                                                  \
    }
LOAD(load_1, uint8_t)
LOAD(load_2, uint16_t)
LOAD(load_4, uint32_t)
LOAD(load_8, uint64_t)

MOVE(load_16) {
    memcpy(frame + step->to, pointer(frame, step->from) + step->offset, 16);
    NEXT;
}

MOVE(load_part) {
    memset(frame + step->to, 0, 8);
    memcpy(frame + step->to, pointer(frame, step->from) + step->offset, step->count);
    NEXT;
}

MOVE(load) {
    memcpy(frame + step->to, pointer(frame, step->from) + step->offset, step->count);
    NEXT;
}

#define STORE(name, count)                                                         \
    MOVE(name) {                                                                   \
        memcpy(pointer(frame, step->to) + step->offset, frame + step->from, count); \
        NEXT;                                                                      \
    }
STORE(store_1, 1)
STORE(store_2, 2)
STORE(store_4, 4)
STORE(store_8, 8)
STORE(store_16, 16)
STORE(store, step->count)

MOVE(store_bit) {
    pointer(frame, step->to)[step->offset] = frame[step->from] & 1;
    NEXT;
}

MOVE(address) {
    set_pointer(frame, step->to, frame + step->from);
    NEXT;
}

MOVE(advance) {
    set_pointer(frame, step->to, pointer(frame, step->from) + step->offset);
    NEXT;
}

MOVE(word) {
    set_pointer(frame, step->to, step->datum);
    NEXT;
}

MOVE(copy_value) {
    witnesses(step->datum)->initialize_with_copy(frame + step->to, pointer(frame, step->from), step->datum);
    NEXT;
}

MOVE(destroy) {
    witnesses(step->datum)->destroy(pointer(frame, step->from), step->datum);
    NEXT;
}

// An existential is three words for the value, then its type and its witness table. A value that does not fit, or is not moved by
// copying its bytes, is in a box of the heap, after the object's header (swift/docs/ABI/TypeLayout.rst, "Existential Containers").
enum { EXISTENTIAL_TYPE = 24, EXISTENTIAL_WITNESSES = 32, OBJECT_HEADER = 16 };

static int is_inline(const void *type) { return !(witnesses(type)->flags & 0x20000); }

MOVE(close_value) {
    uint8_t *existential = frame + step->to;
    const void *type = pointer(frame, step->offset);
    set_pointer(existential, EXISTENTIAL_TYPE, type);
    set_pointer(existential, EXISTENTIAL_WITNESSES, pointer(frame, step->count));
    void *value = existential;
    if (!is_inline(type)) {
        swift_box box = swift_allocBox(type);
        set_pointer(existential, 0, box.object);
        value = box.value;
    }
    witnesses(type)->initialize_with_copy(value, pointer(frame, step->from), type);
    NEXT;
}

MOVE(open_value) {
    uint8_t *existential = pointer(frame, step->from);
    const void *type = pointer(existential, EXISTENTIAL_TYPE);
    uint8_t *value = existential;
    if (!is_inline(type)) {
        size_t mask = witnesses(type)->flags & 0xff;
        value = pointer(existential, 0) + ((OBJECT_HEADER + mask) & ~mask);
    }
    set_pointer(frame, step->to, value);
    set_pointer(frame, step->offset, type);
    set_pointer(frame, step->count, pointer(existential, EXISTENTIAL_WITNESSES));
    NEXT;
}

MOVE(object_type) {
    set_pointer(frame, step->to, swift_getObjectType((void *)pointer(pointer(frame, step->from), 0)));
    NEXT;
}

MOVE(closure) {
    convert_closure(frame + step->to, step->datum, (hp_call_ownership)step->count);
    NEXT;
}

MOVE(release) {
    swift_release(pointer(frame, step->from));
    NEXT;
}

MOVE(observe) {
    ((hp_call_observe *)step->datum)(frame, step->count);
    NEXT;
}

static void end(const hp_call_step *step, uint8_t *frame) {
    (void)step;
    (void)frame;
}

const void *hp_call_move(hp_call_op op) {
    static move *const moves[] = {
        [HP_CALL_COPY_1] = copy_1,
        [HP_CALL_COPY_2] = copy_2,
        [HP_CALL_COPY_4] = copy_4,
        [HP_CALL_COPY_8] = copy_8,
        [HP_CALL_COPY_16] = copy_16,
        [HP_CALL_COPY] = copy,
        [HP_CALL_COPY_BIT] = copy_bit,
        [HP_CALL_LOAD_1] = load_1,
        [HP_CALL_LOAD_2] = load_2,
        [HP_CALL_LOAD_4] = load_4,
        [HP_CALL_LOAD_8] = load_8,
        [HP_CALL_LOAD_16] = load_16,
        [HP_CALL_LOAD_PART] = load_part,
        [HP_CALL_LOAD] = load,
        [HP_CALL_STORE_1] = store_1,
        [HP_CALL_STORE_2] = store_2,
        [HP_CALL_STORE_4] = store_4,
        [HP_CALL_STORE_8] = store_8,
        [HP_CALL_STORE_16] = store_16,
        [HP_CALL_STORE] = store,
        [HP_CALL_STORE_BIT] = store_bit,
        [HP_CALL_ADDRESS] = address,
        [HP_CALL_ADVANCE] = advance,
        [HP_CALL_WORD] = word,
        [HP_CALL_COPY_VALUE] = copy_value,
        [HP_CALL_DESTROY] = destroy,
        [HP_CALL_CLOSE] = close_value,
        [HP_CALL_OPEN] = open_value,
        [HP_CALL_OBJECT_TYPE] = object_type,
        [HP_CALL_CLOSURE] = closure,
        [HP_CALL_RELEASE] = release,
        [HP_CALL_OBSERVE] = observe,
        [HP_CALL_END] = end,
    };
    return (const void *)(uintptr_t)moves[op];
}
