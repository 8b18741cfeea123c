// Thread-locals that are linked into a process. Their blocks cannot join those of the program's modules: the loader counts modules and
// sizes what each thread has of them, and no running thread gets more. So code that asks the loader for a variable is led here instead.
#include "cpatch_fixup.h"

#include "arch.h"

size_t hp_thread_local_code(hp_arch arch, hp_thread_local_routine routine, const void **code) {
    switch (arch) {
    case HP_ARCH_X86_64: return hp_x86_64_thread_local_code(routine, code);
    case HP_ARCH_ARM64: return hp_arm64_thread_local_code(routine, code);
    }
    *code = NULL;
    return 0;
}
