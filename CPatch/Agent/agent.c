// The agent's stub: its layout, for C and for assembly, and the branch with which the borrowed thread leaves it.

#include "hp_agent.h"

#include <string.h>

#include "cpatch_core.h"
#include "hp_system_calls.h"

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
_Static_assert(offsetof(hp_agent_stub, mask) == HP_STUB_MASK, "");
_Static_assert(offsetof(hp_agent_stub, blocked) == HP_STUB_BLOCKED, "");
_Static_assert(offsetof(hp_agent_stub, leave) == HP_STUB_LEAVE, "");
_Static_assert(offsetof(hp_agent_stub, vector_size) == HP_STUB_VECTOR_SIZE, "");
_Static_assert(offsetof(hp_agent_stub, vector_features) == HP_STUB_VECTOR_FEATURES, "");
_Static_assert(offsetof(hp_agent_stub, context) == HP_STUB_CONTEXT, "");
_Static_assert(sizeof(hp_agent_stub) == HP_STUB_ENTRY, "");

// inject.S: where in the code the branch belongs with which the borrowed thread leaves; 0 where none needs to be encoded.
extern const uint32_t hp_agent_return_offset __attribute__((visibility("hidden")));

bool hp_agent_set_return(uint8_t *stub, uint64_t address, uint64_t pc) {
    if (hp_agent_return_offset == 0) return true;
    uint64_t offset = HP_STUB_ENTRY + hp_agent_return_offset;
    uint8_t jump[HP_DETOUR_CAPACITY];
    size_t length = hp_encode_jump(HP_MACHINE_ARCH, address + offset, pc, jump);
    memcpy(stub + offset, jump, length);
    return length > 0;
}
