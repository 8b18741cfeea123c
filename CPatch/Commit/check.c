// What a commit verifies before it changes anything. Reads through the kernel, so that an address that is no longer mapped
// is an answer and not a fault.

#include "commit.h"

#include <sys/mman.h>
#include <sys/uio.h>

// Bytes read at `address`, or a negative errno.
long hp_read_memory(const hp_commit_job *job, uint64_t address, void *buffer, size_t length) {
    if (job->memory >= 0) return HP_SYSCALL4(SYS_pread64, job->memory, buffer, length, address);
    struct iovec local = {buffer, length}, remote = {(void *)(uintptr_t)address, length};
    return HP_SYSCALL6(SYS_process_vm_readv, job->pid, &local, 1, &remote, 1, 0);
}

// Whether the instruction before a PC makes a system call. The page before may not be there.
bool hp_is_behind_call(const hp_commit_job *job, uint64_t pc) {
    uint32_t instruction = 0;
    const long length = (long)hp_system_call_length(HP_MACHINE_ARCH);
    return hp_read_memory(job, pc - (uint64_t)length, &instruction, (size_t)length) == length
        && hp_is_system_call(HP_MACHINE_ARCH, instruction);
}

// The last bytes read: entries of one library lie side by side, and a read costs the same for one as for a hundred.
enum { READ_CACHE_BYTES = 4096 };
typedef struct read_cache {
    uint64_t start, end;
    uint8_t bytes[READ_CACHE_BYTES];
} read_cache;

// Some bytes; a negative errno, or fewer than asked for, where they cannot be read.
static long read_bytes(const hp_commit_job *job, read_cache *cache, uint64_t start, size_t count, uint8_t *found) {
    enum { SMALLEST_PAGE = 4096 };
    uint64_t end = start + count;
    if (start < cache->start || end > cache->end) {
        cache->start = cache->end = start;
        // Not beyond the page, which may be the last.
        uint64_t length = SMALLEST_PAGE - start % SMALLEST_PAGE;
        if (length > READ_CACHE_BYTES) length = READ_CACHE_BYTES;
        if (length < count) return hp_read_memory(job, start, found, count);
        long read = hp_read_memory(job, start, cache->bytes, length);
        if (read < 0) return read;
        cache->end = start + (uint64_t)read;
        if (cache->end < end) return read;
    }
    hp_copy(found, cache->bytes + (start - cache->start), count);
    return (long)count;
}

static void guard_writes(hp_commit_job *job, uint64_t start, uint64_t end, long guards) {
    for (size_t i = 0; i < job->block->write_count; i++) {
        hp_write *write = &job->block->writes[i];
        if (write->kind != HP_WRITE_DATA && write->address >= start && write->address < end)
            write->protection = (uint8_t)(hp_protection((hp_write_kind)write->kind) | guards);
    }
}

// A line of /proc/self/smaps: `START-END PERMISSIONS …`, or `VmFlags: rd ex …` of the mapping named last.
static void learn_from(hp_commit_job *job, const char *line, uint64_t *start, uint64_t *end) {
    static const char key[] = "VmFlags:";
    const char *text = line;
    uint64_t first = hp_parse_hexadecimal(&text);
    if (text > line && *text == '-') {
        text++;
        *start = first;
        *end = hp_parse_hexadecimal(&text);
    } else if (hp_equal(line, key, sizeof key - 1)) {
        long guards = 0;
        for (text = line + sizeof key - 1; text[0] == ' ' && text[1] && text[2]; text += 3) guards |= hp_machine_guard(text + 1);
        if (guards) guard_writes(job, *start, *end, guards);
    }
}

// What a writer by mprotect must put back. Asked before anybody is held: the kernel walks all pages to answer. Where it has no
// such file there is nothing to put back.
void hp_learn_guards(hp_commit_job *job) {
    if (!HP_MACHINE_HAS_GUARDS) return;
    char text[4096], line[256];
    size_t length = 0;
    uint64_t start = 0, end = 0;
    hp_clear(line, sizeof line);
    long file = HP_SYSCALL4(SYS_openat, AT_FDCWD, "/proc/self/smaps", O_RDONLY | O_CLOEXEC, 0);
    if (file < 0) return;
    for (long count; (count = HP_SYSCALL3(SYS_read, file, text, sizeof text)) > 0;) {
        for (long i = 0; i < count; i++) {
            if (text[i] == '\n') {
                line[length] = 0;
                learn_from(job, line, &start, &end);
                hp_clear(line, sizeof line);
                length = 0;
            } else if (length < sizeof line - 1) {
                line[length++] = text[i];  // what is behind a long path does not matter
            }
        }
    }
    HP_SYSCALL1(SYS_close, file);
}

static hp_commit_status check_write(hp_commit_job *job, read_cache *cache, const hp_write *write) {
    for (size_t offset = 0; offset < write->length; offset += HP_FOUND_CAPACITY) {
        size_t left = write->length - offset, length = left < HP_FOUND_CAPACITY ? left : HP_FOUND_CAPACITY;
        uint8_t found[HP_FOUND_CAPACITY];
        hp_clear(found, sizeof found);
        long count = read_bytes(job, cache, write->address + offset, length, found);
        if (count != (long)length)
            return hp_fail(job, HP_COMMIT_MISMATCH, 0, write->address, count < 0 ? (int)-count : EFAULT);
        if (!write->compared) {
            hp_copy(write->expected + offset, found, length);
        } else if (!hp_equal(found, write->expected + offset, length)) {
            hp_copy(job->report->found, found, sizeof found);
            job->report->offset = (uint32_t)offset;
            return hp_fail(job, HP_COMMIT_MISMATCH, 0, write->address, 0);
        }
    }
    return HP_COMMIT_DONE;
}

hp_commit_status hp_check_expected(hp_commit_job *job) {
    const hp_commit_block *block = job->block;
    read_cache cache;
    cache.start = cache.end = 0;
    for (size_t i = 0; i < block->write_count; i++) {
        hp_commit_status status = check_write(job, &cache, &block->writes[i]);
        if (status != HP_COMMIT_DONE) return status;
    }
    return HP_COMMIT_DONE;
}

// Whether the word at an address of a stack, which has the value of a hazard, is one. Where its neighbours cannot be read, it is.
static bool is_saved_pc(const hp_commit_job *job, uint64_t address) {
    uint64_t neighbours[HP_NEIGHBOURS];
    uint64_t first = address - HP_NEIGHBOURS_BELOW * sizeof *neighbours;
    if (hp_read_memory(job, first, neighbours, sizeof neighbours) != sizeof neighbours) return true;
    return hp_is_saved_pc(HP_MACHINE_ARCH, neighbours);
}

// Where the search of a stack ends. The C libraries keep a thread's control block at the top of its stack, and in it the head of its list
// of robust mutexes, which the kernel knows (get_robust_list(2)). Above it lies a page without access, which does not stop a read of
// /proc/self/mem, and then the stack of another thread.
static uint64_t stack_end(int32_t thread, uint64_t sp) {
    uint64_t head = 0, size = 0, limit = sp + HP_STACK_SEARCH_BYTES;
    if (HP_SYSCALL3(SYS_get_robust_list, thread, &head, &size) != 0) return limit;
    return head > sp && head < limit ? head : limit;
}

hp_commit_status hp_check_stack(hp_commit_job *job, int32_t thread, uint64_t sp) {
    enum { CHUNK = 4096 };
    uint64_t words[CHUNK / sizeof(uint64_t)];
    if (job->block->hazard_count == 0) return HP_COMMIT_DONE;
    // The psABI's red zone lies below the stack pointer; a leaf keeps values there.
    uint64_t address = (sp - 128) & ~7ull;
    const uint64_t end = stack_end(thread, sp);
    while (address < end) {
        // What lies before a page that cannot be read is given all the same.
        uint64_t chunk = end - address < CHUNK ? (end - address + 7) & ~7ull : CHUNK;
        long count = hp_read_memory(job, address, words, chunk);
        if (count <= 0) break;
        for (long i = 0; i < count / 8; i++) {
            if (words[i] < job->lowest_hazard || words[i] >= job->highest_hazard) continue;
            if (hp_is_hazard(job->block, words[i]) && is_saved_pc(job, address + (uint64_t)i * 8))
                return hp_fail(job, HP_COMMIT_BUSY, thread, words[i], 0);
        }
        if ((uint64_t)count < chunk) break;
        address += (uint64_t)count;
    }
    return HP_COMMIT_DONE;
}
