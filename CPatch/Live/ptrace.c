#include "hp_remote.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

_Static_assert(offsetof(hp_agent_stub, magic) == HP_STUB_MAGIC, "");
_Static_assert(offsetof(hp_agent_stub, area) == HP_STUB_AREA, "");
_Static_assert(offsetof(hp_agent_stub, area_size) == HP_STUB_AREA_SIZE, "");
_Static_assert(offsetof(hp_agent_stub, pthread_create) == HP_STUB_PTHREAD_CREATE, "");
_Static_assert(offsetof(hp_agent_stub, pthread_detach) == HP_STUB_PTHREAD_DETACH, "");
_Static_assert(offsetof(hp_agent_stub, errno_location) == HP_STUB_ERRNO_LOCATION, "");
_Static_assert(offsetof(hp_agent_stub, idle) == HP_STUB_IDLE, "");
_Static_assert(offsetof(hp_agent_stub, sleep) == HP_STUB_SLEEP, "");
_Static_assert(offsetof(hp_agent_stub, name) == HP_STUB_NAME, "");
_Static_assert(offsetof(hp_agent_stub, stack_top) == HP_STUB_STACK_TOP, "");
_Static_assert(offsetof(hp_agent_stub, registers) == HP_STUB_REGISTERS, "");
_Static_assert(sizeof(hp_agent_stub) == HP_STUB_ENTRY, "");

size_t hp_xsave_size(void) {
#if defined(__x86_64__)
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
    if (!__get_cpuid_count(0xd, 0, &a, &b, &c, &d)) return 0;
    return b;
#else
    return 0;
#endif
}
