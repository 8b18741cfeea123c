// Thunks: what gives an adapter, or a dispatcher, an address of its own. A page of code, written once and sealed before anybody sees it, is followed
// by a page of data: so nothing is ever writable and executable.
//
// Unwinders know nothing of them, and need not: a thunk pushes nothing and calls nobody, so no stack has one on it. Only where a
// signal comes inside one, a profiler's, does what looks at the stack from there see no callers. To describe them
// with __register_frame would cost more: libgcc before 13 then takes a lock for each frame, which that signal may find taken.

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "call.h"
#include "cpatch_core.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t *page;  // the newest
static size_t used;    // thunks of it

static uint8_t *make_page(size_t size) {
    if (!page) hp_call_prepare_vectors();
    uint8_t *code = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED) return NULL;
    hp_encode_thunks(HP_MACHINE_ARCH, code, size);
    if (mprotect(code, size, PROT_READ | PROT_EXEC) != 0) {
        int error = errno;
        munmap(code, 2 * size);
        errno = error;
        return NULL;
    }
    __builtin___clear_cache((char *)code, (char *)code + size);
    return code;
}

static const void *make_thunk(const void *datum, const void *entry) {
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    const void *thunk = NULL;
    pthread_mutex_lock(&lock);
    if (!page || used == size / HP_THUNK_SIZE) {
        uint8_t *next = make_page(size);
        if (next) {
            page = next;
            used = 0;
        }
    }
    if (page && used < size / HP_THUNK_SIZE) {
        const void *words[2] = {datum, entry};
        thunk = page + used * HP_THUNK_SIZE;
        memcpy(page + size + used * HP_THUNK_SIZE, words, sizeof words);
        used++;
    }
    pthread_mutex_unlock(&lock);
    return thunk;
}

const void *hp_call_make_thunk(hp_call_adapter *adapter) { return make_thunk(adapter, hp_call_adapter_destination(adapter).code); }

const void *hp_call_make_dispatch_thunk(const hp_call_dispatcher *dispatcher) {
    return make_thunk(dispatcher, (const void *)(uintptr_t)hp_call_dispatch_entry);
}
