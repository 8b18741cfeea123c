// The code that may run while patched text is not executable, in pages that hold nothing else: a writer that makes its own
// page non-executable kills the process, and so does a parked thread that wakes into one.
//
// All of this file goes to a section of its own, which starts and ends at a page boundary. Nothing here may call out of it.

#include "commit.h"

#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/wait.h>

hp_lot hp_parking_lot;

#pragma clang section text = "hotpatch_text"

// Entered on the parked thread, with every signal blocked. Stays until its generation is released.
__attribute__((aligned(HP_MACHINE_PAGE_ALIGN))) void hp_park_handler(int number, siginfo_t *info, void *context) {
    (void)number;
    uint64_t cookie = (uint64_t)(uintptr_t)info->si_value.sival_ptr;
    uint32_t generation = (uint32_t)(cookie >> 32), index = (uint32_t)cookie;
    if (info->si_code != SI_QUEUE || info->si_pid != HP_SYSCALL0(SYS_getpid)) return;
    if (index >= __atomic_load_n(&hp_parking_lot.capacity, __ATOMIC_ACQUIRE)) return;
    hp_parked *self = __atomic_load_n(&hp_parking_lot.threads, __ATOMIC_ACQUIRE) + index;

    uint32_t sent = generation << 2 | HP_PHASE_SENT;
    if (!__atomic_compare_exchange_n(
            &self->state, &sent, generation << 2 | HP_PHASE_ARRIVING, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return;  // late: that commit has given up
    self->context = context;
    __atomic_store_n(&self->state, generation << 2 | HP_PHASE_PARKED, __ATOMIC_RELEASE);
    __atomic_add_fetch(&hp_parking_lot.arrived, 1, __ATOMIC_ACQ_REL);
    hp_futex_wake(&hp_parking_lot.arrived, 1);

    for (;;) {
        uint32_t released = __atomic_load_n(&hp_parking_lot.released, __ATOMIC_ACQUIRE);
        // Generations have 30 bits; shifted up, their difference is signed as 32-bit differences are.
        if ((int32_t)((released - generation) << 2) >= 0) break;
        hp_futex_wait(&hp_parking_lot.released, released, UINT64_MAX);
    }
    // Unless a later commit has the entry already, for another thread.
    uint32_t parked = generation << 2 | HP_PHASE_PARKED;
    __atomic_compare_exchange_n(
        &self->state, &parked, generation << 2 | HP_PHASE_GONE, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    hp_serialise_core();
}

#if defined(__x86_64__)
// The kernel wants to be told where a handler returns to (rt_sigaction(2)); glibc's own is not ours to use.
__attribute__((naked)) void hp_park_restorer(void) {
    __asm__ volatile(
        "movl $15, %eax\n\t"  // rt_sigreturn
        "syscall\n\t"
        "hlt");
}
#endif

static long protect(const hp_write *write, uint64_t start, uint64_t end, bool writable) {
    long sealed = write->protection ? write->protection : PROT_READ | PROT_EXEC;
    long protection = writable ? (sealed & ~PROT_EXEC) | PROT_READ | PROT_WRITE : sealed;
    return HP_SYSCALL3(SYS_mprotect, start, end - start, protection);
}

static int write_one(const hp_commit_job *job, const hp_write *write, const uint8_t *bytes) {
    if (job->writer == HP_WRITER_PROC_MEM) {
        // Inside one page, so the kernel copies all of it or nothing.
        long count = HP_SYSCALL4(SYS_pwrite64, job->memory, bytes, write->length, write->address);
        if (count != write->length) return count < 0 ? (int)-count : EIO;
    } else {
        hp_copy((void *)(uintptr_t)write->address, bytes, write->length);
    }
    if (write->kind == HP_WRITE_TEXT) hp_flush_code(write->address, write->length);
    return 0;
}

// The end of the run of text writes that starts at `first` and lies in adjoining pages of one protection.
static size_t run_end(const hp_commit_block *block, size_t first, size_t page, uint64_t *start, uint64_t *end) {
    const hp_write *write = &block->writes[first];
    *start = write->address & ~(uint64_t)(page - 1);
    *end = (write->address + write->length + page - 1) & ~(uint64_t)(page - 1);
    size_t next = first + 1;
    for (; next < block->write_count; next++) {
        const hp_write *other = &block->writes[next];
        uint64_t other_end = (other->address + other->length + page - 1) & ~(uint64_t)(page - 1);
        if (other->kind != HP_WRITE_TEXT || other->protection != write->protection) break;
        if (other->address < *start || other->address > *end) break;
        if (other_end > *end) *end = other_end;
    }
    return next;
}

// Carries out writes [first, last) forwards, or backwards with the expected bytes. Returns an errno; *reached is the write
// it stopped at.
static int write_run(hp_commit_job *job, size_t first, size_t last, size_t *reached) {
    const hp_commit_block *block = job->block;
    uint64_t start = 0, end = 0;
    bool text = job->writer == HP_WRITER_MPROTECT && block->writes[first].kind == HP_WRITE_TEXT;
    *reached = first;
    if (text) {
        run_end(block, first, job->options->page_size, &start, &end);
        long error = protect(&block->writes[first], start, end, true);
        if (error) return (int)-error;
    }
    int result = 0;
    for (; *reached < last && !result; *reached += !result)
        result = write_one(job, &block->writes[*reached], block->writes[*reached].bytes);
    if (text) {
        long error = protect(&block->writes[first], start, end, false);
        if (error && !result) result = (int)-error;
    }
    return result;
}

static int undo_one(hp_commit_job *job, const hp_write *write) {
    uint64_t page = job->options->page_size;
    uint64_t start = write->address & ~(page - 1);
    uint64_t end = (write->address + write->length + page - 1) & ~(page - 1);
    bool text = job->writer == HP_WRITER_MPROTECT && write->kind == HP_WRITE_TEXT;
    if (text) {
        long error = protect(write, start, end, true);
        if (error) return (int)-error;
    }
    int result = write_one(job, write, write->expected);
    if (text) {
        long error = protect(write, start, end, false);
        if (error && !result) result = (int)-error;
    }
    return result;
}

static int lay_down(const hp_commit_job *job, const hp_copy_item *item) {
    if (item->kind == HP_WRITE_DATA) {
        hp_copy((void *)(uintptr_t)item->address, item->bytes, item->length);
        return 0;
    }
    long result = 0;
    if (job->writer == HP_WRITER_PROC_MEM) {
        for (size_t done = 0; done < item->length; done += (size_t)result) {
            result = HP_SYSCALL4(
                SYS_pwrite64, job->memory, item->bytes + done, item->length - done, item->address + done);
            if (result <= 0) return result < 0 ? (int)-result : EIO;
        }
    } else {
        uint64_t page = job->options->page_size, start = item->address & ~(page - 1);
        uint64_t size = ((item->address + item->length + page - 1) & ~(page - 1)) - start;
        result = HP_SYSCALL3(SYS_mprotect, start, size, PROT_READ | PROT_WRITE);
        if (result < 0) return (int)-result;
        hp_copy((void *)(uintptr_t)item->address, item->bytes, item->length);
        result = HP_SYSCALL3(SYS_mprotect, start, size, PROT_READ | PROT_EXEC);
        if (result < 0) return (int)-result;
    }
    hp_flush_code(item->address, item->length);
    return 0;
}

static void synchronise_cores(void) {
    // Every thread that was held serialises by itself on its way out; this reaches whoever else shares the memory.
    HP_SYSCALL3(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
    HP_SYSCALL3(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
    hp_serialise_core();
}

bool hp_lay_down_copies(hp_commit_job *job) {
    const hp_commit_block *block = job->block;
    for (size_t i = 0; i < block->copy_count; i++) {
        int error = lay_down(job, &block->copies[i]);
        if (!error) continue;
        hp_fail(job, HP_COMMIT_ROLLED_BACK, 0, block->copies[i].address, error);
        return false;
    }
    return true;
}

bool hp_perform_writes(hp_commit_job *job) {
    const hp_commit_block *block = job->block;
    int error = 0;
    size_t done = 0;
    while (done < block->write_count && !error) {
        uint64_t start, end;
        size_t last = block->writes[done].kind == HP_WRITE_TEXT
            ? run_end(block, done, job->options->page_size, &start, &end)
            : done + 1;
        error = write_run(job, done, last, &done);
    }
    if (error) {
        hp_fail(job, HP_COMMIT_ROLLED_BACK, 0, block->writes[done < block->write_count ? done : done - 1].address, error);
        while (done-- > 0) {
            int again = undo_one(job, &block->writes[done]);
            if (again) hp_fail(job, HP_COMMIT_INCONSISTENT, 0, block->writes[done].address, again);
        }
    }
    synchronise_cores();
    return !error;
}

// Waits for the tracing helper's end, on the one thread that is not held while the helper writes. One that neither ends nor dies in time is killed, which frees whomever it held.
void hp_await_helper(const hp_commit_job *job, long pid) {
    enum { GRACE_NS = 1000000000 };
    for (bool killed = false;;) {
        int status;
        long who = HP_SYSCALL4(SYS_wait4, pid, &status, __WALL | WNOHANG, 0);
        if (who == pid || (who < 0 && who != -EINTR)) return;
        if (!killed && hp_now_ns() > job->deadline_ns + GRACE_NS) {
            HP_SYSCALL2(SYS_kill, pid, SIGKILL);
            killed = true;
        }
        hp_sleep_ns(50000);
    }
}

bool hp_is_own_code(uint64_t address);

// The last of the section: starts the page after the last that matters, so that no stranger shares that one.
__attribute__((aligned(HP_MACHINE_PAGE_ALIGN), used)) bool hp_is_own_code(uint64_t address) {
    return address >= (uint64_t)(uintptr_t)&hp_park_handler
        && address < (uint64_t)(uintptr_t)&hp_is_own_code + HP_MACHINE_PAGE_ALIGN;
}
