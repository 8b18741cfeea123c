// The registers of a thread that is traced, and what they say of the system call that it is in, for the machine this is compiled for.
#pragma once

#if defined(__x86_64__)
#include "../x86_64/registers.h"
#elif defined(__aarch64__)
#include "../arm64/registers.h"
#else
#error "CPatch knows x86_64 and arm64"
#endif
