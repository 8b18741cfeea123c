// Reading /proc/self/task with raw system calls.
#pragma once

#include "raw.h"

typedef struct hp_dirent64 {
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
} hp_dirent64;

HP_INLINE int32_t hp_parse_decimal(const char *text) {
    int32_t value = 0;
    if (*text < '0' || *text > '9') return -1;
    for (; *text >= '0' && *text <= '9'; text++) value = value * 10 + (*text - '0');
    return value;
}

// Appends the decimal digits of `value` to text[at…]; returns the index past the last.
HP_INLINE size_t hp_append_decimal(char *text, size_t at, uint32_t value) {
    char digits[10];
    size_t count = 0;
    do digits[count++] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    while (count > 0) text[at++] = digits[--count];
    text[at] = 0;
    return at;
}

// Reads /proc/self/task/TID/`leaf` into `buffer`, zero-terminated. Returns its length, or a negative errno.
HP_INLINE long hp_read_task_file(int32_t tid, const char *leaf, char *buffer, size_t capacity) {
    char path[64];
    static const char prefix[] = "/proc/self/task/";
    hp_copy(path, prefix, sizeof prefix - 1);
    size_t at = hp_append_decimal(path, sizeof prefix - 1, (uint32_t)tid);
    path[at++] = '/';
    for (; *leaf; leaf++) path[at++] = *leaf;
    path[at] = 0;
    long file = HP_SYSCALL4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (file < 0) return file;
    size_t length = 0;
    long count;
    while (length < capacity - 1 &&
           (count = HP_SYSCALL3(SYS_read, file, buffer + length, capacity - 1 - length)) > 0)
        length += (size_t)count;
    HP_SYSCALL1(SYS_close, file);
    buffer[length] = 0;
    return (long)length;
}

// The state letter of a thread of this process (proc_pid_stat(5)); 'X' where it is gone.
HP_INLINE char hp_task_state(int32_t tid) {
    char text[512];
    long length = hp_read_task_file(tid, "stat", text, sizeof text);
    if (length <= 0) return 'X';
    // The name is in parentheses and may hold any character, so the last ')' ends it.
    for (long i = length - 3; i > 0; i--)
        if (text[i] == ')') return text[i + 2];
    return 'X';
}
