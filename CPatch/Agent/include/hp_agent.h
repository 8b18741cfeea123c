// The agent stub: what a patcher writes into a process it does not run in, to get a thread there that works for it.
// Shared by the assembly (inject.S), which is why the layout is in macros, and by RemoteTarget, which fills it in.
#pragma once

// "HPAGENT1", at the first byte of the stub.
#define HP_AGENT_MAGIC 0x31544e4547415048

// The stub's header: read-only to the stub itself, for it lies in an r-x page.
#define HP_STUB_MAGIC 0
#define HP_STUB_AREA 8
#define HP_STUB_AREA_SIZE 16
#define HP_STUB_PTHREAD_CREATE 24
#define HP_STUB_PTHREAD_DETACH 32
#define HP_STUB_ERRNO_LOCATION 40
#define HP_STUB_IDLE 48
#define HP_STUB_SLEEP 56
#define HP_STUB_NAME 72
#define HP_STUB_STACK_TOP 88
#define HP_STUB_MASK 96
#define HP_STUB_BLOCKED 104
#define HP_STUB_LEAVE 120
#define HP_STUB_VECTOR_SIZE 128
#define HP_STUB_VECTOR_FEATURES 136
#define HP_STUB_CONTEXT 144
#define HP_STUB_ENTRY 448

// The area: private read-write memory that the stub maps at an address the patcher chose.
#define HP_AREA_MAGIC 0
#define HP_AREA_STATE 8         // of the borrowed thread: hp_stub_state
#define HP_AREA_AGENT_STATE 12  // of the agent thread: hp_agent_state
#define HP_AREA_CREATE_RESULT 16
#define HP_AREA_PTHREAD 24
#define HP_AREA_AGENT_TID 32
#define HP_AREA_PENDING 40      // signals that wait for the borrowed thread
#define HP_AREA_SAVED_ERRNO 48
#define HP_AREA_TIME 56
#define HP_AREA_SIZE 72
#define HP_AREA_ACTION 80       // the kernel's struct sigaction: handler, flags, restorer, mask
#define HP_AREA_DESCRIPTORS 112 // HP_DESCRIPTORS descriptors (int) that the agent closes when it leaves; -1 for none
#define HP_AREA_SEQUENCE 128    // of the last command given
#define HP_AREA_DONE 132        // of the last command done
#define HP_AREA_FUNCTION 136    // HP_COMMAND_…, or an address
#define HP_AREA_ARGUMENTS 144   // seven
#define HP_AREA_KEEP_FROM 200   // where a system call that succeeds leaves descriptors,
#define HP_AREA_KEEP_TO 208     // where among those to be closed they are noted at once,
#define HP_AREA_KEEP_COUNT 216  // and how many they are
#define HP_AREA_RESULT 224
#define HP_AREA_ERRNO 232
#define HP_AREA_VECTORS 4096    // aligned for xsave64: 64
#define HP_AREA_FRAME_SIZE 8192 // of what rt_sigreturn takes, at the top of the borrowed thread's stack

#define HP_DESCRIPTORS 4

#define HP_COMMAND_EXIT 0       // argument: whether the area is to be unmapped
#define HP_COMMAND_SYSCALL 1
#define HP_COMMAND_CLOSE 2      // arguments: the address of the first descriptor, and how many

// How the borrowed thread leaves, where no signal is about to reach it and where one is.
#define HP_LEAVE_RETURN 0       // in no call, or in one that is entered again whatever happens
#define HP_LEAVE_CALL 1         // in a call that a handler without SA_RESTART ends
#define HP_LEAVE_WAIT 2         // in a call that every handler ends
#define HP_LEAVE_REMEMBERED 3   // in such a call, and the kernel remembers how long it still waits
#define HP_LEAVE_JUMP 4         // it cannot return as from a handler

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#include "../x86_64/borrow.h"
#elif defined(__aarch64__)
#include "../arm64/borrow.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum hp_stub_state {
    HP_STUB_MAPPED = 1,      // the area exists
    HP_STUB_CREATED = 2,     // pthread_create has returned
    HP_STUB_LEAVING = 3,     // nothing remains to be done but to restore the registers
};

enum hp_agent_state {
    HP_AGENT_SERVING = 1,
    HP_AGENT_LEFT = 2,       // the area is no longer used, and a command that is not done never will be
};

typedef struct hp_agent_stub {
    uint64_t magic;
    uint64_t area;
    uint64_t area_size;
    uint64_t pthread_create;
    uint64_t pthread_detach;
    uint64_t errno_location;
    uint64_t idle;           // nanoseconds without a command after which the agent leaves
    uint64_t sleep[2];       // struct timespec: between two looks for a command
    char name[16];           // of the agent thread
    uint64_t stack_top;      // of the borrowed thread while it is in the stub; above it, what rt_sigreturn takes
    uint64_t mask;           // of the borrowed thread's signals
    uint64_t blocked;        // the same while it is in the stub
    uint64_t reserved;
    uint64_t leave;          // HP_LEAVE_…
    uint64_t vector_size;    // bytes of vector state that rt_sigreturn takes, and which: see hp_vector_frame_size
    uint64_t vector_features;
    uint64_t context[38];    // the registers with which the thread goes on: see hp_registers_to_context
} hp_agent_stub;

// The code that follows the header, position-independent.
extern const uint8_t hp_agent_code[];
extern const uint8_t hp_agent_code_end[];

static inline size_t hp_agent_code_size(void) { return (size_t)(hp_agent_code_end - hp_agent_code); }
static inline const uint8_t *hp_agent_code_pointer(void) { return hp_agent_code; }

// Makes a stub, header and code, that will run at `address` go on at `pc` when the borrowed thread leaves it. False where
// `pc` is out of its reach.
bool hp_agent_set_return(uint8_t *stub, uint64_t address, uint64_t pc);

#ifdef __cplusplus
}
#endif
#endif
