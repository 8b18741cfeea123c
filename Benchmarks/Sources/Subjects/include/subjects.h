#pragma once

#include <stddef.h>
#include <stdint.h>

typedef int (*subject_function)(int, int);

// Equal functions, each on a cache line of its own: one stays as it is, one is patched, one is patched and called through its
// stub, one replaces them.
int subject_plain(int a, int b);
int subject_patched(int a, int b);
int subject_stubbed(int a, int b);
int subject_replacement(int a, int b);
// Consists of a jump to the last one: what a patched function becomes, made by the compiler.
int subject_jump(int a, int b);

// The same with a body of about twenty nanoseconds: a function that does something.
int subject_work_plain(int a, int b);
int subject_work_patched(int a, int b);
int subject_work_stubbed(int a, int b);
int subject_work_replacement(int a, int b);

// Calls `count` times through a pointer: the same instructions whatever is called.
int subject_loop(subject_function function, long count);
// Calls by name (a direct call).
int subject_loop_plain(long count);
int subject_loop_patched(long count);
int subject_loop_jump(long count);

// Bytes of the heap in use (mallinfo2(3)).
size_t subject_heap_in_use(void);

// What is installed by the thousand: `subject_00000` and the following.
enum { SUBJECT_COUNT = 4000 };
subject_function subject_at(size_t number);
