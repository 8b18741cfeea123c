// The code that may run while patched text is not executable, in pages that hold nothing else: a writer that makes its own
// page non-executable kills the process, and so does a parked thread that wakes into one.
//
// All of this file goes to a section of its own, which starts and ends at a page boundary. Nothing here may call out of it.

#include "commit.h"
#include "parking_table.h"

#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/wait.h>

hp_parked_table hp_parking_table;

#pragma clang section text = "hotpatch_text"

// Entered on the parked thread, with every signal blocked. Stays until its epoch is released.
__attribute__((aligned(HP_MACHINE_PAGE_ALIGN))) void hp_park_handler(int number, siginfo_t *info, void *context) {
    (void)number;
    uint64_t cookie = (uint64_t)(uintptr_t)info->si_value.sival_ptr;
    uint32_t epoch = (uint32_t)(cookie >> 32), index = (uint32_t)cookie;
    if (info->si_code != SI_QUEUE || info->si_pid != HP_SYSCALL0(SYS_getpid)) return;
    if (index >= __atomic_load_n(&hp_parking_table.capacity, __ATOMIC_ACQUIRE)) return;
    hp_parked *self = __atomic_load_n(&hp_parking_table.threads, __ATOMIC_ACQUIRE) + index;

    if (!hp_compare_exchange(&self->state, epoch << 2 | HP_PHASE_SENT, epoch << 2 | HP_PHASE_ARRIVING))
        return;  // late: that commit has given up
    self->context = context;
    __atomic_store_n(&self->state, epoch << 2 | HP_PHASE_PARKED, __ATOMIC_RELEASE);
    hp_increment(&hp_parking_table.arrived);
    hp_futex_wake(&hp_parking_table.arrived, 1);

    for (;;) {
        uint32_t released = __atomic_load_n(&hp_parking_table.released, __ATOMIC_ACQUIRE);
        // Epochs have 30 bits; shifted up, their difference is signed as 32-bit differences are.
        if ((int32_t)((released - epoch) << 2) >= 0) break;
        hp_futex_wait(&hp_parking_table.released, released, UINT64_MAX);
    }
    // Unless a later commit has the entry already, for another thread.
    hp_compare_exchange(&self->state, epoch << 2 | HP_PHASE_PARKED, epoch << 2 | HP_PHASE_GONE);
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
    long sealed = write->protection ? write->protection : hp_protection((hp_write_kind)write->kind);
    long protection = writable ? (sealed & ~PROT_EXEC) | PROT_READ | PROT_WRITE : sealed;
    return HP_SYSCALL3(SYS_mprotect, start, end - start, protection);
}

static int write_bytes(const hp_commit_job *job, uint64_t address, const uint8_t *bytes, size_t length) {
    if (job->writer == HP_WRITER_PROC_MEM) {
        long count = HP_SYSCALL4(SYS_pwrite64, job->memory, bytes, length, address);
        if (count != (long)length) return count < 0 ? (int)-count : EIO;
    } else {
        hp_copy((void *)(uintptr_t)address, bytes, length);
    }
    return 0;
}

// Inside one page, so the kernel copies all of it or nothing.
static int write_one(const hp_commit_job *job, const hp_write *write, const uint8_t *bytes) {
    int error = write_bytes(job, write->address, bytes, write->length);
    if (!error && write->kind == HP_WRITE_TEXT) hp_flush_code(write->address, write->length);
    return error;
}

// Words that lie side by side inside one page, as slots do, and whose bytes do so in the block: one write, whole or absent. Returns an
// errno; `next` is the first write not carried out.
static int write_data(const hp_commit_job *job, size_t first, size_t *next) {
    const hp_commit_block *block = job->block;
    const uint8_t *bytes = block->writes[first].bytes;
    uint64_t start = block->writes[first].address, page_end = start - start % job->options->page_size + job->options->page_size;
    size_t length = block->writes[first].length, last = first + 1;
    for (; last < block->write_count; last++) {
        const hp_write *write = &block->writes[last];
        if (write->kind != HP_WRITE_DATA || write->address != start + length || write->bytes != bytes + length) break;
        if (write->address + write->length > page_end) break;
        length += write->length;
    }
    int error = write_bytes(job, start, bytes, length);
    *next = error ? first : last;
    return error;
}

// Entries that follow each other in one page, with what lies between them, which is read right before and stays as it is: the kernel takes
// as long for one as for all. It copies all of them or nothing. Returns how many were written: none where they have to be written one by one.
static size_t write_together(const hp_commit_job *job, size_t first, size_t last) {
    enum { SMALLEST_PAGE = 4096 };
    const hp_write *writes = job->block->writes;
    uint64_t start = writes[first].address, page_end = (start & ~(uint64_t)(SMALLEST_PAGE - 1)) + SMALLEST_PAGE, end = start;
    size_t next = first;
    for (; next < last && writes[next].address >= end && writes[next].address + writes[next].length <= page_end; next++)
        end = writes[next].address + writes[next].length;
    if (next < first + 2) return 0;
    uint8_t bytes[SMALLEST_PAGE];
    long length = (long)(end - start);
    if (HP_SYSCALL4(SYS_pread64, job->memory, bytes, length, start) != length) return 0;
    for (size_t i = first; i < next; i++) hp_copy(bytes + (writes[i].address - start), writes[i].bytes, writes[i].length);
    if (write_bytes(job, start, bytes, (size_t)length)) return 0;
    if (writes[first].kind == HP_WRITE_TEXT) hp_flush_code(start, (size_t)length);
    return next - first;
}

// Text, or constants, in adjoining pages of one protection, forwards. Returns an errno; `next` is the first write not carried out; not
// `sealed`: text may not be executable.
static int write_sealed(const hp_commit_job *job, size_t first, size_t *next, bool *sealed) {
    const hp_commit_block *block = job->block;
    const hp_write *write = &block->writes[first];
    uint64_t page = job->options->page_size;
    uint64_t start = write->address & ~(page - 1), end = start;
    size_t last = first;
    for (; last < block->write_count; last++) {
        const hp_write *other = &block->writes[last];
        uint64_t other_end = (other->address + other->length + page - 1) & ~(page - 1);
        if (other->kind != write->kind || other->protection != write->protection) break;
        if (other->address < start || (last > first && other->address > end)) break;
        if (other_end > end) end = other_end;
    }
    *next = first;
    bool guarded = job->writer == HP_WRITER_MPROTECT;
    long error = guarded ? protect(write, start, end, true) : 0;
    if (error) {
        // The first of several mappings may have changed.
        *sealed = protect(write, start, end, false) == 0;
        return (int)-error;
    }
    int result = 0;
    while (*next < last && !result) {
        size_t count = guarded ? 0 : write_together(job, *next, last);
        if (!count) result = write_one(job, &block->writes[*next], block->writes[*next].bytes);
        *next += count ? count : (size_t)!result;
    }
    error = guarded ? protect(write, start, end, false) : 0;
    return result || !error ? result : (int)-error;
}

static int undo_one(hp_commit_job *job, const hp_write *write) {
    uint64_t page = job->options->page_size;
    uint64_t start = write->address & ~(page - 1);
    uint64_t end = (write->address + write->length + page - 1) & ~(page - 1);
    bool sealed = job->writer == HP_WRITER_MPROTECT && write->kind != HP_WRITE_DATA;
    if (sealed) {
        long error = protect(write, start, end, true);
        if (error) return (int)-error;
    }
    int result = write_one(job, write, write->expected);
    if (sealed) {
        long error = protect(write, start, end, false);
        if (error && !result) result = (int)-error;
    }
    return result;
}

int hp_lay_down(const hp_commit_job *job, const hp_copy_item *item) {
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
        result = HP_SYSCALL3(SYS_mprotect, start, size, hp_protection((hp_write_kind)item->kind));
        if (result < 0) return (int)-result;
    }
    if (item->kind == HP_WRITE_TEXT) hp_flush_code(item->address, item->length);
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
        int error = hp_lay_down(job, &block->copies[i]);
        if (!error) continue;
        hp_fail(job, HP_COMMIT_ROLLED_BACK, 0, block->copies[i].address, error);
        return false;
    }
    return true;
}

bool hp_perform_writes(hp_commit_job *job) {
    const hp_commit_block *block = job->block;
    int error = 0;
    size_t next = 0;
    bool sealed = true;
    while (next < block->write_count && !error) {
        bool writable = block->writes[next].kind == HP_WRITE_DATA;
        error = writable ? write_data(job, next, &next) : write_sealed(job, next, &next, &sealed);
    }
    if (error) {
        // Pages that could not be sealed again have been written whole.
        uint64_t address = block->writes[next < block->write_count ? next : next - 1].address;
        hp_fail(job, sealed ? HP_COMMIT_ROLLED_BACK : HP_COMMIT_INCONSISTENT, 0, address, error);
        // The one that failed, too: where its bytes lie on two pages, the kernel may have written one.
        bool torn = job->writer == HP_WRITER_PROC_MEM && next < block->write_count;
        if (torn) write_one(job, &block->writes[next], block->writes[next].expected);
        while (next-- > 0) {
            int again = undo_one(job, &block->writes[next]);
            if (again) hp_fail(job, HP_COMMIT_INCONSISTENT, 0, block->writes[next].address, again);
        }
    }
    synchronise_cores();
    return !error;
}

// Waits for a helper's end, on the one thread that is not held while the helper writes. One that has not ended by then is killed,
// which frees whomever it held.
void hp_await_helper(long pid, uint64_t end_ns) {
    for (bool killed = false;;) {
        int status;
        long who = HP_SYSCALL4(SYS_wait4, pid, &status, __WALL | WNOHANG, 0);
        if (who == pid || (who < 0 && who != -EINTR)) return;
        if (!killed && hp_now_ns() > end_ns) {
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
