#pragma once
#include <stddef.h>

#define NUMBER 0

int answer_to(const char *question, char *answer, size_t room);
