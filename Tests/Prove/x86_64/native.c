// A machine made of this processor: a child that shares the memory, traced and stepped from outside. It knows what Unicorn
// does not, and has the last word where the two differ.
//
// The kernel says nothing of what a step writes. So before each step, its memory operand and the top of the stack are noted;
// and as nothing but the arena and the image can be reached, what was missed would show in the arena's check.
#include "../prove.h"

#if defined(__x86_64__)

#include "x86_64/instruction.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    XSAVE_CAPACITY = 16 << 10,
    // Offsets in the area that XSAVE writes (Intel SDM volume 1, 13.4), and where Linux says which components there are.
    LAST_INSTRUCTION = 6, LAST_INSTRUCTION_END = 24, MXCSR = 24, XMM = 160, XCR0 = 464, PRESENT = 512, EXTENDED = 576,
    VECTOR_COMPONENTS = 0xe6,    // SSE, AVX, and the three of AVX-512
    // CF PF AF ZF SF DF OF NT AC: what PTRACE_SETREGS sets. The others stay as an instruction has left them long ago.
    FLAGS = 0x44cd5,
};

typedef struct native {
    machine machine;
    pid_t child;
    struct user_regs_struct idle;
    uint8_t idle_xstate[XSAVE_CAPACITY];
    size_t xstate_size;
    struct user_regs_struct prepared[STATE_COUNT];
    uint8_t prepared_xstate[STATE_COUNT][XSAVE_CAPACITY];
} native;

static bool registers_of(pid_t child, struct user_regs_struct *registers) {
    return ptrace(PTRACE_GETREGS, child, 0, registers) == 0;
}

static void be_the_child(const space *space) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (size_t i = 0; i < space->region_count; i++) {
        const region *region = &space->regions[i];
        void *wanted = (void *)region->address;
        int all = PROT_READ | PROT_WRITE | PROT_EXEC, flags = MAP_SHARED | MAP_FIXED_NOREPLACE;
        if (mmap(wanted, region->size, all, flags, region->file, 0) != wanted) _exit(1);
    }
    if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0) _exit(1);
    raise(SIGSTOP);
    _exit(1);
}

static uint64_t general_register(const struct user_regs_struct *registers, unsigned number) {
    const uint64_t values[16] = {
        registers->rax, registers->rcx, registers->rdx, registers->rbx, registers->rsp, registers->rbp,
        registers->rsi, registers->rdi, registers->r8, registers->r9, registers->r10, registers->r11,
        registers->r12, registers->r13, registers->r14, registers->r15,
    };
    return values[number & 15];
}

static uint64_t segment_base(const struct user_regs_struct *registers, const uint8_t *code, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (code[i] == 0x64) return registers->fs_base;
        if (code[i] == 0x65) return registers->gs_base;
    }
    return 0;
}

// Where a memory operand lies (Intel SDM volume 2, 2.1.5).
static uint64_t operand_address(
    const x86_instruction *parsed, const uint8_t *code, uint64_t pc, const struct user_regs_struct *registers
) {
    if (x86_is_rip_relative(parsed)) return hp_x86_target(parsed, code, pc);
    unsigned extension_base = (parsed->rex & 1u) << 3, extension_index = (parsed->rex & 2u) << 2;
    if (!parsed->legacy && code[0] != 0xc5) {                // VEX and EVEX store them inverted
        extension_base = (~code[1] & 0x20u) >> 2;
        extension_index = (~code[1] & 0x40u) >> 3;
    }
    uint64_t address = segment_base(registers, code, parsed->modrm_offset);
    unsigned mod = parsed->modrm >> 6, base = parsed->has_sib ? parsed->sib & 7u : parsed->modrm & 7u;
    if (parsed->has_sib) {
        unsigned index = (parsed->sib >> 3 & 7u) | extension_index;
        if (index != 4) address += general_register(registers, index) << (parsed->sib >> 6);
    }
    if (!(parsed->has_sib && base == 5 && mod == 0)) address += general_register(registers, base | extension_base);
    int32_t displacement = 0;
    if (parsed->displacement_length == 1) displacement = (int8_t)code[parsed->displacement_offset];
    if (parsed->displacement_length == 4) memcpy(&displacement, code + parsed->displacement_offset, 4);
    return address + (uint64_t)(int64_t)displacement;
}

// How far from its operand's address an instruction reads or writes: bts and its like count bits from there, in a register.
static uint64_t bit_distance(const x86_instruction *parsed, const struct user_regs_struct *registers) {
    bool counts_bits = parsed->legacy && parsed->map == 1 && (parsed->opcode & 0xe7) == 0xa3;
    if (!counts_bits) return 0;
    uint64_t value = general_register(registers, x86_reg(parsed) | (parsed->rex & 4u) << 1);
    bool wide = (parsed->rex & 8) != 0;
    int64_t bit = wide ? (int64_t)value : parsed->operand_size ? (int16_t)value : (int32_t)value;
    return (uint64_t)(bit >> 6) * 8;
}

// Notes what the next step may write.
static void note_operands(
    const space *space, run *run, const uint8_t *code, size_t length, const struct user_regs_struct *registers
) {
    enum { STACK_ITEM = 16, WIDEST = 64, SAVED_STATE = 4096 };
    x86_instruction parsed;
    note_write(space, run, registers->rsp - STACK_ITEM, STACK_ITEM);
    if (hp_x86_parse(code, length, &parsed) != X86_PARSED) return;
    if (parsed.has_modrm && parsed.modrm >> 6 != 3) {
        bool saves = parsed.legacy && parsed.map == 1 && (parsed.opcode == 0xae || parsed.opcode == 0xc7);
        uint64_t address = operand_address(&parsed, code, registers->rip, registers) + bit_distance(&parsed, registers);
        note_write(space, run, address, saves ? SAVED_STATE : WIDEST);
    }
    bool to_rdi = parsed.legacy && ((parsed.map == 0 && (parsed.opcode & 0xf4) == 0xa4) || parsed.opcode == 0xf7);
    if (to_rdi) note_write(space, run, registers->rdi, STACK_ITEM);
}

static void prepare(machine *machine, unsigned number, const state *state) {
    native *native = (struct native *)machine;
    struct user_regs_struct *registers = &native->prepared[number];
    *registers = native->idle;
    uint64_t *order[16] = {
        (uint64_t *)&registers->rax, (uint64_t *)&registers->rcx, (uint64_t *)&registers->rdx, (uint64_t *)&registers->rbx,
        (uint64_t *)&registers->rsp, (uint64_t *)&registers->rbp, (uint64_t *)&registers->rsi, (uint64_t *)&registers->rdi,
        (uint64_t *)&registers->r8, (uint64_t *)&registers->r9, (uint64_t *)&registers->r10, (uint64_t *)&registers->r11,
        (uint64_t *)&registers->r12, (uint64_t *)&registers->r13, (uint64_t *)&registers->r14, (uint64_t *)&registers->r15,
    };
    for (size_t i = 0; i < 16; i++) *order[i] = state->general[i];
    registers->eflags = state->flags;
    registers->fs_base = state->control[0];
    registers->gs_base = state->control[1];
    registers->orig_rax = UINT64_MAX;                         // no system call is to be restarted

    uint8_t *xstate = native->prepared_xstate[number];
    memcpy(xstate, native->idle_xstate, native->xstate_size);
    uint64_t present, features, random = state->general[0] ^ state->general[1];
    memcpy(&present, xstate + PRESENT, sizeof present);
    memcpy(&features, xstate + XCR0, sizeof features);
    present |= features & VECTOR_COMPONENTS;
    memcpy(xstate + PRESENT, &present, sizeof present);
    size_t end = native->xstate_size < XSTATE_CAPACITY ? native->xstate_size : XSTATE_CAPACITY;
    // Behind AVX-512 lie protection keys, which are not to be random.
    for (size_t at = EXTENDED; at + 8 <= end && at < 2688; at += 8) {
        uint64_t word = next_random(&random);
        memcpy(xstate + at, &word, sizeof word);
    }
    memcpy(xstate + XMM, state->vectors, sizeof(uint8_t) * 16 * 16);
    uint32_t mode = (uint32_t)state->control[2];
    memcpy(xstate + MXCSR, &mode, sizeof mode);
}

// Whether a single step was made, and ended as steps do.
static bool step(pid_t child) {
    int status = 0;
    do {
        if (ptrace(PTRACE_SINGLESTEP, child, 0, 0) != 0) return false;
        if (waitpid(child, &status, 0) != child) return false;
        // Whoever pauses the proof stops the child before the step: that is no fault of the code.
    } while (WIFSTOPPED(status) && (WSTOPSIG(status) == SIGSTOP || WSTOPSIG(status) == SIGCONT || WSTOPSIG(status) == SIGTSTP));
    return WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
}

static outcome walk(native *native, const territory *territory, run *out, struct user_regs_struct *registers) {
    uint64_t previous = 0;
    unsigned arrivals = 0;
    for (unsigned steps = 0; steps < STEP_LIMIT; steps++) {
        uint64_t pc = registers->rip, offset = pc - territory->start;
        bool called = steps > 0 && previous == territory->call;
        if (pc < territory->start || pc >= territory->end || called) return LEFT;
        unsigned number = offset < HP_STUB_CAPACITY ? territory->number_at[offset] : 0;
        if (number != 0) {
            out->last = (uint8_t)number;
            if ((territory->halting >> number & 1) != 0 || ++arrivals > ARRIVAL_LIMIT) return LEFT;
        }
        size_t length = 16;
        const uint8_t *code = space_at(native->machine.space, pc, length);
        if (code == NULL) return FAULTED;
        // A flipped bit may have made it a system call.
        if ((x86_64_traits.of_instruction(code, length) & HALTS) != 0) return FAULTED;
        note_operands(native->machine.space, out, code, length, registers);
        if (out->overflowed || !step(native->child) || !registers_of(native->child, registers)) return FAULTED;
        previous = pc;
    }
    return STUCK;
}

static void run_code(machine *machine, unsigned number, uint64_t pc, const territory *territory, run *out) {
    native *native = (struct native *)machine;
    struct user_regs_struct registers = native->prepared[number];
    registers.rip = pc;
    struct iovec area = {native->prepared_xstate[number], native->xstate_size};
    out->write_count = 0;
    out->overflowed = false;
    out->last = 0;
    ptrace(PTRACE_SETREGSET, native->child, NT_X86_XSTATE, &area);
    ptrace(PTRACE_SETREGS, native->child, 0, &registers);
    out->outcome = walk(native, territory, out, &registers);
    out->pc = registers.rip;

    uint8_t xstate[XSAVE_CAPACITY];
    area = (struct iovec){xstate, sizeof xstate};
    ptrace(PTRACE_GETREGSET, native->child, NT_X86_XSTATE, &area);
    memset(&out->state, 0, sizeof out->state);
    for (unsigned i = 0; i < 16; i++) out->state.general[i] = general_register(&registers, i);
    out->state.flags = registers.eflags & FLAGS;
    out->state.control[0] = registers.fs_base;
    out->state.control[1] = registers.gs_base;
    memset(xstate + LAST_INSTRUCTION, 0, LAST_INSTRUCTION_END - LAST_INSTRUCTION);
    memcpy(out->state.xstate, xstate, area.iov_len < XSTATE_CAPACITY ? area.iov_len : XSTATE_CAPACITY);
    undo_writes(machine->space, out);
}

static void flush(machine *machine, uint64_t address, size_t length) { (void)machine, (void)address, (void)length; }

static void free_native(machine *machine) {
    native *native = (struct native *)machine;
    if (native->child > 0) {
        kill(native->child, SIGKILL);
        waitpid(native->child, NULL, 0);
    }
    free(native);
}

machine *native_make(const space *space) {
    if (space->image->arch != HP_ARCH_X86_64) return NULL;
    native *native = calloc(1, sizeof *native);
    if (native == NULL) return NULL;
    native->machine = (machine){space, prepare, run_code, flush, free_native};
    native->child = fork();
    if (native->child == 0) be_the_child(space);
    int status = 0;
    struct iovec area = {native->idle_xstate, sizeof native->idle_xstate};
    bool traced = native->child > 0 && waitpid(native->child, &status, 0) == native->child && WIFSTOPPED(status) &&
                  ptrace(PTRACE_SETOPTIONS, native->child, 0, PTRACE_O_EXITKILL) == 0 &&
                  registers_of(native->child, &native->idle) &&
                  ptrace(PTRACE_GETREGSET, native->child, NT_X86_XSTATE, &area) == 0;
    native->xstate_size = area.iov_len;
    if (traced) return &native->machine;
    free_native(&native->machine);
    return NULL;
}

#else

machine *native_make(const space *space) {
    (void)space;
    return NULL;
}

#endif
