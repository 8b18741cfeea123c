// Reading /proc/PID/task with raw system calls.
#pragma once

#include "hp_system_calls.h"

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

// A walk through the threads of an open /proc/PID/task.
typedef struct hp_task_walk {
    int directory;
    long at, count;  // in the entries at hand
    char entries[4096] __attribute__((aligned(8)));
} hp_task_walk;

// From the first thread on, whatever was read of the directory before.
HP_INLINE void hp_begin_tasks(hp_task_walk *walk, int directory) {
    walk->directory = directory;
    walk->at = walk->count = 0;
    HP_SYSCALL3(SYS_lseek, directory, 0, 0);
}

// The next thread's id; 0 behind the last one, or a negative errno.
HP_INLINE int32_t hp_next_task(hp_task_walk *walk) {
    for (;;) {
        if (walk->at >= walk->count) {
            walk->at = 0;
            walk->count = HP_SYSCALL3(SYS_getdents64, walk->directory, walk->entries, sizeof walk->entries);
            if (walk->count <= 0) return (int32_t)walk->count;
        }
        const hp_dirent64 *entry = (const hp_dirent64 *)(walk->entries + walk->at);
        walk->at += entry->length;
        // Neither the directory itself nor the one above it.
        int32_t tid = hp_parse_decimal(entry->name);
        if (tid > 0) return tid;
    }
}

// Opens TID/`leaf` in `directory`, a /proc/PID/task. Never by way of /proc/self: the tracing helper is another process.
HP_INLINE long hp_open_task_file(int directory, int32_t tid, const char *leaf) {
    char path[64];
    size_t at = hp_append_decimal(path, 0, (uint32_t)tid);
    path[at++] = '/';
    for (; *leaf; leaf++) path[at++] = *leaf;
    path[at] = 0;
    return HP_SYSCALL4(SYS_openat, directory, path, O_RDONLY | O_CLOEXEC, 0);
}

// The state letter of a thread (proc_pid_stat(5)); 'X' where it is gone, '?' where that cannot be told.
HP_INLINE char hp_task_state(int directory, int32_t tid) {
    char text[512];
    long file = hp_open_task_file(directory, tid, "stat");
    if (file < 0) return file == -ENOENT || file == -ESRCH ? 'X' : '?';
    long length = HP_SYSCALL3(SYS_read, file, text, sizeof text);
    HP_SYSCALL1(SYS_close, file);
    if (length <= 0) return length == -ESRCH ? 'X' : '?';
    // The name is in parentheses and may hold any character, so the last ')' ends it.
    for (long i = length - 3; i > 0; i--)
        if (text[i] == ')') return text[i + 2];
    return '?';
}

// A number in a thread's status (proc_pid_status(5)): what stands behind `key`, which begins and ends its line's title ("\nPid:\t"), to
// a base of 10 or 16; 0 where there is none. Lines lie behind the process's groups, of which there may be 65,536: so no buffer
// holds all that comes before them.
HP_INLINE uint64_t hp_task_number(int directory, int32_t tid, const char *key, uint64_t base) {
    char text[1024];
    uint64_t number = 0;
    size_t matched = 0;
    bool ended = false;
    long file = hp_open_task_file(directory, tid, "status");
    if (file < 0) return 0;
    for (long count; !ended && (count = HP_SYSCALL3(SYS_read, file, text, sizeof text)) > 0;) {
        for (long i = 0; i < count && !ended; i++) {
            char c = text[i];
            if (!key[matched]) {
                if (c == '\n') ended = true;
                else number = number * base + (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
            } else {
                // The key's first character stands nowhere else in it.
                matched = c == key[matched] ? matched + 1 : c == key[0];
            }
        }
    }
    HP_SYSCALL1(SYS_close, file);
    return number;
}

// The signals a thread has blocked.
HP_INLINE uint64_t hp_task_blocked(int directory, int32_t tid) {
    return hp_task_number(directory, tid, "\nSigBlk:\t", 16);
}

// The system call that a thread waits in (proc_pid_syscall(5)).
typedef struct hp_task_call {
    long number;             // negative: none
    uint64_t arguments[6];
} hp_task_call;

// Zero, or a negative errno: -ENOENT or -ESRCH where the thread has ended. A thread that runs is in none.
HP_INLINE long hp_read_task_call(int directory, int32_t tid, hp_task_call *call) {
    char text[256];
    long file = hp_open_task_file(directory, tid, "syscall");
    if (file < 0) return file;
    long length = HP_SYSCALL3(SYS_read, file, text, sizeof text - 1);
    HP_SYSCALL1(SYS_close, file);
    if (length <= 0) return length < 0 ? length : -EIO;
    text[length] = 0;
    call->number = hp_parse_decimal(text);
    const char *at = text;
    for (int i = 0; i < 6; i++) {
        while (*at && *at != 'x') at++;
        uint64_t value = 0;
        for (at += *at == 'x'; (*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'f'); at++)
            value = value << 4 | (uint64_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
        call->arguments[i] = value;
    }
    return 0;
}
