#pragma once

// clone(2) with a stack: the child runs entry(argument) and exits with its result; the parent gets the child's pid, or a
// negative errno. No thread-local storage is set up, and no signal is sent at the child's end.
long hp_clone_helper(unsigned long flags, void *stack_top, int (*entry)(void *), void *argument);
