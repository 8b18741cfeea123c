// Fixups: what a linker writes where an object file has a relocation. A table for each architecture says of each type what it refers
// to, by which expression, which bits of which bytes hold the result, and which results do not fit. The letters are the psABIs': S the
// symbol's value, A the addend, P the place, GOT the global offset table, TP the thread pointer.
//
// Sources: "System V Application Binary Interface, AMD64 Architecture Processor Supplement", table 4.9 and chapter 4.4; "ELF for the
// Arm 64-bit Architecture" (AAELF64), chapter 5.7.
//
// A place that a linker has relaxed is one of another type: `lea foo(%rip)`, made of `mov foo@GOTPCREL(%rip)`, holds what PC32 says.
#pragma once

#include "cpatch_core.h"

#ifdef __cplusplus
extern "C" {
#endif

// What a relocation refers to: X of its expression.
typedef enum hp_fixup_subject {
    HP_SUBJECT_NOTHING = 0,             // a marker
    HP_SUBJECT_SYMBOL = 1,              // S
    HP_SUBJECT_PLT = 2,                 // S, or an entry of the PLT that leads there: where that one is nearer, or the address is not known
    HP_SUBJECT_GOT_SLOT = 3,            // the address of a word that holds S
    HP_SUBJECT_GOT = 4,                 // GOT itself
    HP_SUBJECT_SIZE = 5,                // the symbol's size
    HP_SUBJECT_TP_OFFSET = 6,           // S − TP, in every thread
    HP_SUBJECT_MODULE_OFFSET = 7,       // S − the start of its module's thread-locals
    HP_SUBJECT_TP_SLOT = 8,             // the address of a word that holds S − TP
    HP_SUBJECT_MODULE_SLOTS = 9,        // the address of two words: the symbol's module, and its offset in that
    HP_SUBJECT_LOCAL_MODULE_SLOTS = 10, // the address of two words: this module, and 0
    HP_SUBJECT_DESCRIPTOR_SLOTS = 11,   // the address of two words: a function that gives S − TP, and what it is given
} hp_fixup_subject;

typedef enum hp_fixup_expression {
    HP_EXPRESSION_NONE = 0,             // nothing is written
    HP_EXPRESSION_ABSOLUTE = 1,         // X + A
    HP_EXPRESSION_RELATIVE = 2,         // X + A − P
    HP_EXPRESSION_PAGE = 3,             // Page(X + A) − Page(P); pages of 4 KiB, whatever those of the system are
    HP_EXPRESSION_GOT_RELATIVE = 4,     // X + A − GOT
    HP_EXPRESSION_GOT_PAGE_RELATIVE = 5,  // X + A − Page(GOT)
    HP_EXPRESSION_UNSUPPORTED = 6,      // known by name, but not what a compiler emits
} hp_fixup_expression;

// Which results do not fit.
typedef enum hp_fixup_check {
    HP_CHECK_NONE = 0,
    HP_CHECK_SIGNED = 1,                // −2^(n−1) ≤ X < 2^(n−1)
    HP_CHECK_UNSIGNED = 2,              // 0 ≤ X < 2^n
    HP_CHECK_EITHER = 3,                // −2^(n−1) ≤ X < 2^n: the reader extends it either way
} hp_fixup_check;

typedef struct hp_fixup {
    const char *name;        // "R_X86_64_PC32"
    uint32_t type;           // of the relocation, as in the ELF file
    uint8_t arch;            // hp_arch
    uint8_t subject;         // hp_fixup_subject
    uint8_t expression;      // hp_fixup_expression
    uint8_t field;           // which bits of the place: the architecture's own number
    uint8_t size;            // bytes of the place
    uint8_t lowest;          // the bit of the value that the field's lowest one holds
    uint8_t bits;            // how many it holds
    uint8_t check;           // hp_fixup_check
    uint8_t check_bits;      // n
    uint8_t alignment;       // so many of the value's low bits must be zero
    uint8_t relaxation;      // what a linker may make of the place: the architecture's own number
    bool addend_in_slot;     // the addend belongs to what the slot holds (AAELF64: GDAT(S + A)), not to the slot's address
    bool instruction;        // the place is an instruction whose bytes lie on a multiple of their number
    bool call;               // a jump or call, which may be led through an entry of the PLT
} hp_fixup;

// Values that an expression is made of.
typedef struct hp_fixup_terms {
    uint64_t subject;        // X; not read for HP_SUBJECT_GOT
    int64_t addend;          // A
    uint64_t place;          // P
    uint64_t got;            // GOT
} hp_fixup_terms;

typedef enum hp_fixup_result {
    HP_FIXUP_DONE = 0,
    HP_FIXUP_DOES_NOT_FIT = 1,    // the value is out of the range of the field
    HP_FIXUP_MISALIGNED = 2,      // bits of the value are set that the field cannot hold
    HP_FIXUP_OUT_OF_BOUNDS = 3,   // the place does not lie in the bytes given
    HP_FIXUP_MISPLACED = 4,       // no instruction can lie there
    HP_FIXUP_UNSUPPORTED = 5,
    HP_FIXUP_OTHER_CODE = 6,      // neither what the object has, nor what a linker makes of that
} hp_fixup_result;

// The table of an architecture, ascending by type; nothing for an unknown one.
const hp_fixup *hp_fixup_rows(hp_arch arch, size_t *count);

// NULL for an unknown type.
const hp_fixup *hp_fixup_row(hp_arch arch, uint32_t type);

// The expression's result. Wraps around.
int64_t hp_fixup_value(const hp_fixup *row, const hp_fixup_terms *terms);

// The values that fit; false where all do.
bool hp_fixup_range(const hp_fixup *row, int64_t *lowest, int64_t *highest);

// Writes a value at `offset` of the bytes. Nothing is changed where it cannot be. Instructions of arm64 are told by their offset: the
// first byte then lies on a multiple of 4.
hp_fixup_result hp_fixup_write(const hp_fixup *row, uint8_t *bytes, size_t length, size_t offset, int64_t value);

// The inverse.
//   known  [out] the bits of the value that the place tells; the others are 0 in `value`
hp_fixup_result hp_fixup_read(
    const hp_fixup *row, const uint8_t *bytes, size_t length, size_t offset, int64_t *value, uint64_t *known);

enum { HP_FIXUP_SPAN = 16 };  // bytes that one fixup changes, at most

// The bits that a linker may change.
typedef struct hp_fixup_span {
    size_t start;            // offset of the first byte
    size_t length;           // bytes, up to HP_FIXUP_SPAN
    uint8_t bits[HP_FIXUP_SPAN];
} hp_fixup_span;

// What a linker may change for the fixup at `offset` of an object's code, relaxations included.
hp_fixup_result hp_fixup_mask(
    const hp_fixup *row, const uint8_t *code, size_t length, size_t offset, hp_fixup_span *span);

// Where linked code holds what a fixup put there.
typedef struct hp_fixup_place {
    const hp_fixup *row;     // whose field it is: another one where the linker relaxed the code
    size_t offset;           // of that field
    int64_t addend_change;   // what the addend is raised by
    int64_t value;           // what it holds now, and
    uint64_t known;          // the bits of it that are known
    size_t start, end;       // the bytes that were understood. Fixups of the object that come after this one and lie in them are gone.
} hp_fixup_place;

// Looks at what a linker has made of the fixup at `offset` of an object's code. HP_FIXUP_OTHER_CODE where that is nothing it may be.
//   code  the object's bytes, and
//   live  the linked ones, as many
hp_fixup_result hp_fixup_find(
    const hp_fixup *row, const uint8_t *code, const uint8_t *live, size_t length, size_t offset, hp_fixup_place *place);

enum { HP_PLT_CAPACITY = 16 };  // bytes that an entry of the PLT occupies, at most

// Writes an entry of the PLT, a jump at `at` to the address that `slot` holds; returns its length, 0 where the slot is out of reach.
//   landing_pad  code that is checked for where indirect jumps land may jump to it
size_t hp_encode_plt(hp_arch arch, uint64_t at, uint64_t slot, bool landing_pad, uint8_t out[HP_PLT_CAPACITY]);

// Routines for thread-locals that are linked into a process, whose threads are there already. What a thread has of such a block of
// variables is allocated when it first asks for one, and kept under a key of pthread_key_create(3). The routines lie anywhere: all that
// they need is in the words that they are given, 8 bytes each.
//   block:  the address of its key; of its first contents; its size; its alignment; pthread_getspecific, pthread_setspecific,
//           aligned_alloc, pthread_key_delete
//   pair:   a block, the variable's offset in it, 0; or what __tls_get_addr takes, and the address of that
typedef enum hp_thread_local_routine {
    HP_THREAD_LOCAL_ADDRESS = 0,     // in place of __tls_get_addr: takes a pair
    HP_THREAD_LOCAL_FIXED = 1,       // of a descriptor whose second word is S − TP, the same in every thread
    HP_THREAD_LOCAL_DESCRIPTOR = 2,  // of a descriptor whose second word is the address of a pair, its third that of the first routine
    HP_THREAD_LOCAL_FORGET = 3,      // takes a block, and deletes its key
} hp_thread_local_routine;

enum { HP_THREAD_LOCAL_BLOCK_WORDS = 8, HP_THREAD_LOCAL_PAIR_WORDS = 3, HP_THREAD_LOCAL_DESCRIPTOR_WORDS = 3 };

// The code of a routine, and its length; 0 where the architecture has none.
size_t hp_thread_local_code(hp_arch arch, hp_thread_local_routine routine, const void **code);

// The offset of the end of the instruction that the byte at `field` belongs to, read from the start of one at `start`; 0 where
// something unknown stands before it.
size_t hp_instruction_end(hp_arch arch, const uint8_t *code, size_t length, size_t start, size_t field);

#ifdef __cplusplus
}
#endif
