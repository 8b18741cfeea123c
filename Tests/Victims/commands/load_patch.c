#include <hotpatch.h>

int (*old_answer)(int) HOTPATCH_ORIGINAL("answer");
int (*old_through)(int) HOTPATCH_ORIGINAL("through");

int new_answer(int n) HOTPATCH_REPLACES("answer");
int new_answer(int n) { return old_answer(n) + 1; }
int new_through(int n) HOTPATCH_REPLACES("through");
int new_through(int n) { return old_through(n); }
