// CPatchCore: the pure half of the patcher. Everything here takes bytes, a length and the address those
// bytes run at, and gives bytes back; nothing reads or writes live code, allocates, or keeps state. What linkers write is in cpatch_fixup.h.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The architectures this engine knows. Both are compiled on every host.
typedef enum hp_arch {
    HP_ARCH_X86_64 = 1,
    HP_ARCH_ARM64 = 2,
} hp_arch;

// The one that this is compiled for.
#if defined(__x86_64__)
#define HP_MACHINE_ARCH HP_ARCH_X86_64
#elif defined(__aarch64__)
#define HP_MACHINE_ARCH HP_ARCH_ARM64
#endif

enum {
    HP_PROLOGUE_CAPACITY = 32,   // bytes of a function's entry that can be moved, at most
    HP_DETOUR_CAPACITY = 16,   // bytes a detour occupies, at most
    HP_STUB_CAPACITY = 256,    // bytes a stub occupies, at most
    HP_PC_MAP_CAPACITY = 32,   // moved instructions, at most
    HP_TABLE_CAPACITY = 16,    // jump-table candidates reported, at most
};

// Why a function cannot be patched. `hp_reason_text` has the sentence.
typedef enum hp_reason {
    HP_OK = 0,
    HP_UNSUPPORTED_ARCHITECTURE,      // this release has no encoder for it
    HP_UNREADABLE_ENTRY,              // fewer bytes given than the detour needs
    HP_UNDECODABLE,                   // an instruction of the prologue is unknown
    HP_TOO_SHORT,                     // the function and its padding end inside the detour
    HP_BRANCH_INTO_PROLOGUE,            // the body, or a neighbour, jumps into the overwritten bytes
    HP_BRANCH_TO_ENTRY,               // the body jumps back to the entry: its loop would go on in the replacement
    HP_RETURN_INTO_PROLOGUE,            // a call inside the prologue returns into the overwritten bytes
    HP_OUT_OF_REACH,                  // a PC-relative operand does not reach from the stub
    HP_UNMOVABLE,                     // the instruction has a PC-relative form that cannot be rewritten
    HP_ADDRESS_INTO_PROLOGUE,           // a PC-relative data operand points into the overwritten bytes
    HP_SELF_LOOP,                     // the entry jumps to itself: there is no moment to swap it
    HP_STUB_OVERFLOW,                 // the moved prologue does not fit a stub
    HP_DETOUR_OUT_OF_REACH,           // the stub is too far away for the detour's jump
    HP_ALREADY_PATCHED,               // the entry starts with a jump that leaves the function (another patcher's detour), or holds int3
    // These the plan finds, by the references that the code and the symbols of the whole image hold.
    HP_FOREIGN_BRANCH,                // code outside the function jumps into the overwritten bytes, or calls them
    HP_PART_TO_ENTRY,                 // a part of the function that lies elsewhere jumps back to the entry
    HP_FOREIGN_ADDRESS,               // code takes, or data holds, the address of one of the overwritten bytes
    HP_NAME_INSIDE,                   // a symbol names one of the overwritten bytes
    HP_NO_SIZE,                       // the function's size is not known, and other than padding follows its first end
} hp_reason;

// What refused, with the instruction that did.
typedef struct hp_refusal {
    hp_reason reason;
    uint64_t address;        // of the instruction, or of the entry where no instruction is to blame
    uint64_t operand;        // the address the instruction refers to, 0 if none
    uint8_t length;          // bytes of the instruction, 0 if none
    uint8_t bytes[16];       // the instruction
    char instruction[96];    // as the decoder prints it: "jne 0x401136"; empty if undecodable
} hp_refusal;

// One moved instruction: its offset from the entry, and the offset of its copy from the stub's start.
typedef struct hp_pc_pair {
    uint32_t entry_offset;
    uint32_t stub_offset;
} hp_pc_pair;

// A table of code offsets that an indirect jump of the body may use. The core cannot read it; the plan does.
typedef struct hp_table_candidate {
    uint64_t table;          // address of the first entry, as the body forms it
    uint64_t jump;           // address of the indirect jump
    uint64_t guard;          // `count` holds as long as nothing leads to addresses from here up to the jump. The core has asked
                             // the function's own branches
    uint32_t count;          // entries that the jump chooses from, at most, by the check in front of it; 0: not known
} hp_table_candidate;

typedef struct hp_relocation_request {
    const uint8_t *code;     // [in] the bytes at `entry`
    size_t code_length;      // [in] how many may be read: the function, and its padding up to the next symbol
    size_t function_length;  // [in] how many belong to the function (symbol size or FDE); 0 where unknown
    uint64_t entry;          // [in] the address `code` runs at
    uint64_t stub;           // [in] the address the stub will run at, 16-byte aligned
    uint64_t slot;           // [in] the address of the stub's 8-byte retarget slot
} hp_relocation_request;

// A function's entry, moved. A stub is laid out as
//
//     stub + 0                  island: jump to *slot          (what the detour reaches)
//     stub + original_offset    the moved prologue             (what calling the original runs)
//     …                         jump back to the first instruction not moved
typedef struct hp_relocation {
    uint32_t patch_offset;                    // where the detour is written, from the entry: past endbr64, bti, paciasp
    uint32_t prologue_length;                   // bytes moved, from patch_offset: whole instructions
    uint32_t detour_length;                   // bytes written; the rest of the prologue stays as it was
    uint8_t expected[HP_DETOUR_CAPACITY];     // what stands at patch_offset now, detour_length bytes
    uint8_t detour[HP_DETOUR_CAPACITY];       // what will
    uint32_t stub_length;
    uint8_t stub[HP_STUB_CAPACITY];
    uint32_t original_offset;
    uint32_t pc_count;
    hp_pc_pair pc_map[HP_PC_MAP_CAPACITY];    // ascending, every boundary inside the prologue, its start, and its end where
                                              // the stub goes on there (not after a return, a jump or a call)
    uint32_t table_count;
    hp_table_candidate tables[HP_TABLE_CAPACITY];
    bool tables_overflowed;                   // more candidates than fit: treat the indirect jump as unchecked
    bool unchecked_indirect_jump;             // an indirect jump whose table could not be found
    bool moves_call;                          // the stub breaks the pairing of calls and returns, to which a shadow stack
                                              // objects: a call re-made as a jump, or (arm64) a far jump made by `ret`
} hp_relocation;

// Plans the detour of one function. Returns true and fills `out`, or false and fills `refusal`.
//   hop  0; or, for an entry of which fewer bytes may be overwritten, where `hp_hop_length` bytes near by are free. The detour is then a
//        shorter jump there, and the caller writes a jump to the stub in that place.
bool hp_relocate(
    hp_arch arch, const hp_relocation_request *request, uint64_t hop, hp_relocation *out, hp_refusal *refusal);

// One sentence for a reason, without the instruction: "the function is shorter than the jump that would replace its entry".
const char *hp_reason_text(hp_reason reason);

// Distance, in bytes, that a detour of this architecture reaches in either direction from its own address. A stub within
// it has the shortest detour.
uint64_t hp_detour_reach(hp_arch arch);

// The same for the longest detour; equal where there is but one.
uint64_t hp_far_detour_reach(hp_arch arch);

// Whether an entry may jump straight to a replacement (hp_encode_jump), past its island.
bool hp_may_skip_island(hp_arch arch);

// Decodes one instruction into `text` ("mov rax, rbx"); returns its length in bytes, 0 if it is undecodable. Where lengths do
// not depend on the decoder (arm64), what it does not know is ".word 0x00000000".
size_t hp_disassemble(hp_arch arch, const uint8_t *code, size_t length, uint64_t address, char *text, size_t text_capacity);

// Length of one instruction in bytes, by the core's own table of encodings and without the decoder; 0 if it is
// unknown or does not end within `length`. What the scan of a body uses, being a hundred times faster.
size_t hp_instruction_length(hp_arch arch, const uint8_t *code, size_t length);

// Writes the instruction that a detour consists of, a jump at `from` to `to`; returns its length, 0 out of reach.
size_t hp_encode_jump(hp_arch arch, uint64_t from, uint64_t to, uint8_t out[HP_DETOUR_CAPACITY]);

// Writes an island, a jump at `from` to the address stored at `slot`; returns its length, 0 where `slot` is out of reach.
size_t hp_encode_island(hp_arch arch, uint64_t from, uint64_t slot, uint8_t out[HP_DETOUR_CAPACITY]);

// Fills `size` bytes, a page, with thunks of HP_THUNK_SIZE. Thunk n loads the first word at n * HP_THUNK_SIZE of the page that follows into
// r11 or x17, and jumps to where the second says. Nothing for an unknown architecture.
enum { HP_THUNK_SIZE = 16 };
void hp_encode_thunks(hp_arch arch, uint8_t *code, size_t size);

// The thunk through which an async Swift function is entered that needs a larger context than callers allocate for the function
// it replaces. It allocates one, makes it the child of the caller's, and enters the replacement with it; when that returns, by a jump
// to the context's second word (swift/include/swift/ABI/Task.h, AsyncContext), the thunk frees it and returns to the caller likewise.
// Arguments and results pass through as they are.
typedef struct hp_async_thunk {
    uint64_t replacement;    // [in] the function's code
    uint64_t context_size;   // [in] bytes
    uint64_t allocate;       // [in] swift_task_alloc
    uint64_t deallocate;     // [in] swift_task_dealloc
} hp_async_thunk;

enum {
    HP_ASYNC_THUNK_CAPACITY = 384,  // bytes a thunk occupies, at most
    HP_ASYNC_THUNK_DATA = 32,       // of them no code: the last
};

// Writes a thunk, which runs at any address that is a multiple of 16; returns its length, 0 for an unknown architecture.
size_t hp_encode_async_thunk(hp_arch arch, const hp_async_thunk *thunk, uint8_t out[HP_ASYNC_THUNK_CAPACITY]);

// ---------------------------------------------------------------------------------------------------------
// References: what the code of an image says of a function's entry. Code outside a function may lead into the bytes that a
// detour overwrites; so the whole image is asked, once, in a pass that knows no instruction boundaries and misses nothing
// (hp_find_references), and the few hits are then checked by reading instructions from a known start (hp_check_reference).

typedef enum hp_reference_kind {
    HP_REFERENCE_JUMP = 1,
    HP_REFERENCE_CALL = 2,
    HP_REFERENCE_ADDRESS = 3,  // takes an address, or (arm64) reads what lies there
    HP_REFERENCE_WORD = 4,     // data that holds an address
} hp_reference_kind;

typedef struct hp_reference {
    uint64_t address;          // of the displacement (x86_64), of the instruction (arm64), of the data
    uint64_t target;
    uint8_t kind;              // hp_reference_kind
    uint8_t width;             // bytes of the displacement
} hp_reference;

// What is looked for: maps with a bit for each byte from `start` on.
typedef struct hp_reference_targets {
    uint64_t start;
    size_t length;             // bits
    const uint8_t *entries;    // where jumps are looked for; NULL for none
    const uint8_t *insides;    // where any reference is looked for; NULL for none
} hp_reference_targets;

typedef enum hp_reach {
    HP_REACH_NEAR = 1,         // displacements of 32 bits, and all of arm64's
    HP_REACH_SHORT = 2,        // displacements of 8 bits: within 130 bytes. Nothing on arm64
} hp_reach;

// Collects into `out` what may be a reference to what is wanted, at any byte of `code`; returns how many. Each displacement must
// lie wholly in `code`.
//   from    [in, out] the offset to go on from, 0 at first; `length` when the end was reached. Not there: `out` is full.
size_t hp_find_references(
    hp_arch arch, const uint8_t *code, size_t length, uint64_t address, const hp_reference_targets *wanted, hp_reach reach,
    size_t *from, hp_reference *out, size_t capacity);

// The same in data, of any architecture: words of 8 bytes, counted from the start of `data`, that hold a wanted address.
size_t hp_find_words(
    const uint8_t *data, size_t length, uint64_t address, const hp_reference_targets *wanted, size_t *from, hp_reference *out,
    size_t capacity);

typedef enum hp_verdict {
    HP_VERDICT_REAL = 1,       // such an instruction stands there
    HP_VERDICT_NONE = 2,       // other instructions do
    HP_VERDICT_UNKNOWN = 3,    // the walk met what it does not know, or the end of `code`, before
} hp_verdict;

// Whether a reference that was found is an instruction, for whoever reads instructions from the start of `code`.
//   instruction  [out] where it starts, as an offset, and
//   size         [out] how many bytes it has; for a real one
hp_verdict hp_check_reference(
    hp_arch arch, const uint8_t *code, size_t length, uint64_t address, const hp_reference *reference,
    size_t *instruction, size_t *size);

// Bytes of padding right behind a piece of code that nothing runs on into, because the piece ends with a jump or a return; 0 where
// it does not, or that cannot be told. Others may still jump there. Always 0 where no entry needs a hop (arm64).
//   code    the piece, `piece` bytes, and what follows it up to the next
size_t hp_free_padding(hp_arch arch, const uint8_t *code, size_t length, size_t piece);

// Bytes that a jump at a hop takes; 0 where entries need none.
size_t hp_hop_length(hp_arch arch);

// Where a detour of an entry goes first, by its bytes at `address`: the hop of one that needs a hop; else 0.
uint64_t hp_hop_of(hp_arch arch, const uint8_t *detour, size_t length, uint64_t address);

// Bytes from a function's entry that a detour may end at, at most: its landing pad and the longest jump.
size_t hp_entry_span(hp_arch arch);

// ---------------------------------------------------------------------------------------------------------
// The commit block: a plan made flat. One preallocated buffer that a C function walks without allocating,
// locking or calling out; the ptrace commit walks the same block from outside.
//
// Every commit carries it out in one order, while all threads are held: by signal, by a helper that traces, or from outside.
//
//   1. check    Each compared write finds its expected bytes; what stands at the others is kept for an undo. No thread's PC, running
//               or saved on its stack, is a hazard; a running one may be where a move leads out of it.
//   2. copies   Nothing reaches them yet.
//   3. moves    PCs. What they go on in is there, so that a death of the patcher from here on does no harm to a thread.
//   4. writes   In the plan's order; each is whole or absent.
//
// A failure in 1 or 2 has changed no thread and no byte that anybody reaches. After one in 3 or 4 the writes are undone, the last
// first, and then the PCs are put back. Where an undo fails too, the PCs stay in the copies, which run the same code: what
// stands at the entries is not known.

// What a page holds, and so the protection that it has before a write and after it.
typedef enum hp_write_kind {
    HP_WRITE_TEXT = 0,       // r-x: instructions
    HP_WRITE_DATA = 1,       // rw-: a retarget slot, a pointer to an original, a variable
    HP_WRITE_CONSTANT = 2,   // r--: a constant, or what is read-only since it was relocated (RELRO)
} hp_write_kind;

// One change. Where the page is not writable it lies inside that page.
typedef struct hp_write {
    uint64_t address;
    const uint8_t *bytes;
    uint8_t *expected;       // as many; also what an undo writes back: filled by the commit where not compared
    uint32_t length;         // 1 or more
    uint8_t kind;            // hp_write_kind
    uint8_t compared;        // nonzero: `expected` must stand there, or the commit is refused
    uint8_t protection;      // PROT_* bits of the mapping, put back after a write by mprotect; 0 means those of its kind
    uint8_t reserved;
} hp_write;

// Bytes to lay down once everything has been checked, before any PC is moved: memory that nothing reaches yet (stubs, new
// slots, ledger records), so nothing is compared and nothing needs an undo.
typedef struct hp_copy_item {
    uint64_t address;
    const uint8_t *bytes;
    size_t length;
    uint32_t kind;           // hp_write_kind
} hp_copy_item;

// A thread found with its PC at `from` continues at `to`. The two run the same instruction.
typedef struct hp_pc_move {
    uint64_t from;
    uint64_t to;
} hp_pc_move;

// Bytes strictly inside an entry that is being overwritten: no thread's PC may point there, running or saved in a signal
// frame. No return address can: an entry whose calls return into it is refused (HP_RETURN_INTO_PROLOGUE).
typedef struct hp_hazard {
    uint64_t start;          // first such address
    uint64_t end;            // one past the last
} hp_hazard;

// How much of each thread's stack is searched for hazards, at most, from the stack pointer up. A signal frame lies further up the more
// the handler that runs has pushed. The search ends at the thread's control block, where that is known: few stacks are this far from it.
enum { HP_STACK_SEARCH_BYTES = 256 << 10 };

typedef struct hp_commit_block {
    const hp_copy_item *copies;
    size_t copy_count;
    hp_write *writes;            // carried out in this order
    size_t write_count;
    const hp_pc_move *moves;     // ascending by `from`
    size_t move_count;
    const hp_hazard *hazards;    // ascending, disjoint
    size_t hazard_count;
} hp_commit_block;

// Where a thread at `pc` must go on; `pc` itself where it may stay.
uint64_t hp_moved_pc(const hp_commit_block *block, uint64_t pc);

// Whether `word` points strictly inside an entry that is being overwritten.
bool hp_is_hazard(const hp_commit_block *block, uint64_t word);

// A word of a stack with its neighbours: the one below it, itself, and the two above it.
enum { HP_NEIGHBOURS = 4, HP_NEIGHBOURS_BELOW = 1 };

// Whether the word between such neighbours is a PC that the kernel has saved in a signal frame, and not data that looks like
// one: dead words in the frames of whoever computed with addresses of code.
bool hp_is_saved_pc(hp_arch arch, const uint64_t neighbours[HP_NEIGHBOURS]);

// ---------------------------------------------------------------------------------------------------------
// The kernel's door: what the code around a PC says of the system call that a thread is in.

// Bytes of the instruction that makes a system call.
size_t hp_system_call_length(hp_arch arch);

// Whether an instruction makes a system call. On x86_64 the first two bytes decide.
bool hp_is_system_call(hp_arch arch, uint32_t instruction);

// Whether two instructions return from a signal handler in a way that unwinders do not see through: see hp_signal_frames_are_ours.
bool hp_is_signal_return(hp_arch arch, const uint32_t instructions[2]);

#ifdef __cplusplus
}
#endif
