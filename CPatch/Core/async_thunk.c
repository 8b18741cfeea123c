// The thunk through which an async Swift function is entered that needs a larger context than its callers allocate. The code is the
// architecture's; behind it lie the words that it reads, in the order of `hp_async_thunk`.
#include "arch.h"

#include <string.h>

size_t hp_encode_async_thunk(hp_arch arch, const hp_async_thunk *thunk, uint8_t out[HP_ASYNC_THUNK_CAPACITY]) {
    _Static_assert(sizeof *thunk == HP_ASYNC_THUNK_DATA, "what the code reads");
    size_t length = 0;
    switch (arch) {
    case HP_ARCH_X86_64: length = hp_x86_64_async_thunk_code(out); break;
    case HP_ARCH_ARM64: length = hp_arm64_async_thunk_code(out); break;
    }
    if (length == 0) return 0;
    memcpy(out + length, thunk, sizeof *thunk);
    return length + sizeof *thunk;
}
