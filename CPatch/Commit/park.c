// Parking threads from inside the process: every other thread gets a real-time signal, whose handler waits until released.
//
//   1. list the threads and send each the signal; wait until all have arrived
//   2. list again, until a listing that began after all had arrived shows nobody new
//   3. carry out the block: check, copies, PCs in the saved contexts, writes (hp_commit_block)
//   4. release

#include "commit.h"
#include "parking_table.h"
#include "tasks.h"
#include "hp_clone.h"

#include <linux/sched.h>
#include <sys/mman.h>

enum { FIRST_CAPACITY = 1024, READER_STACK_BYTES = 64 * 1024 };

// The signal in use, 0 before the first commit. The handler stays installed for good: a signal that arrives late must not
// meet the default action, which ends the process.
static int park_signal;

// Above it, signals that can be given a handler but not be sent: an emulator keeps some for itself.
enum { LOWEST_SIGNAL = 35, HIGHEST_SIGNAL = 64 };
static int highest_signal = HIGHEST_SIGNAL;

static bool handler_is_ours(int number) {
    hp_kernel_sigaction action;
    return HP_SYSCALL4(SYS_rt_sigaction, number, 0, &action, sizeof action.mask) == 0 && action.handler == hp_park_handler;
}

// A real-time signal nobody has a handler for, with ours installed. glibc keeps 32 and 33 for itself.
static int claim_signal(void) {
    if (park_signal && handler_is_ours(park_signal)) return park_signal;
    for (int number = highest_signal; number >= LOWEST_SIGNAL; number--) {
        hp_kernel_sigaction action;
        if (HP_SYSCALL4(SYS_rt_sigaction, number, 0, &action, sizeof action.mask) != 0) continue;
        if ((void *)action.handler != (void *)SIG_DFL) continue;
        action.handler = hp_park_handler;
        action.flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;  // where a thread has such a stack, its own may be tiny
        action.restorer = 0;
#if defined(__x86_64__)
        enum { KERNEL_SA_RESTORER = 0x04000000 };
        action.flags |= KERNEL_SA_RESTORER;
        action.restorer = hp_park_restorer;
#endif
        action.mask = ~0ull;
        if (HP_SYSCALL4(SYS_rt_sigaction, number, &action, 0, sizeof action.mask) == 0) return park_signal = number;
    }
    return 0;
}

static void give_up_signal(int number) {
    hp_kernel_sigaction action;
    hp_clear(&action, sizeof action);
    HP_SYSCALL4(SYS_rt_sigaction, number, &action, 0, sizeof action.mask);
    park_signal = 0;
    highest_signal = number - 1;
}

typedef struct parking {
    hp_commit_job *job;
    int directory;
    int number;
    uint32_t epoch;
    uint32_t count;         // entries of the table in use
    uint32_t missing;       // of them: neither parked nor gone
    int32_t looked_at;      // whose stack is being read, or was last
    long reader;            // the process that reads instead of us, or 0
    uint32_t order;         // futex, for it: ORDER_…
    uint32_t has_read;      // it has done so, and found
    hp_commit_status found;
} parking;

static bool blocks(const parking *parking, int32_t tid) {
    return hp_task_blocked(parking->directory, tid) >> (parking->number - 1) & 1;
}

static bool reserve_table(uint32_t needed) {
    uint32_t capacity = hp_parking_table.capacity;
    if (needed <= capacity) return true;
    if (capacity == 0) capacity = FIRST_CAPACITY;
    while (capacity < needed) capacity *= 2;
    long memory = HP_SYSCALL6(
        SYS_mmap, 0, capacity * sizeof(hp_parked), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory < 0) return false;
    // The old table stays mapped: a late signal may still be looking at it.
    __atomic_store_n(&hp_parking_table.threads, (hp_parked *)memory, __ATOMIC_RELEASE);
    __atomic_store_n(&hp_parking_table.capacity, capacity, __ATOMIC_RELEASE);
    return true;
}

static bool listed(const parking *parking, int32_t tid, uint32_t hint) {
    const hp_parked *threads = hp_parking_table.threads;
    if (hint < parking->count && threads[hint].tid == tid) return true;
    for (uint32_t i = 0; i < parking->count; i++)
        if (threads[i].tid == tid) return true;
    return false;
}

static int send(parking *parking, int32_t tid) {
    uint32_t index = parking->count;
    hp_parked *entry = &hp_parking_table.threads[index];
    entry->tid = tid;
    entry->context = 0;
    entry->pc = 0;
    __atomic_store_n(&entry->state, parking->epoch << 2 | HP_PHASE_SENT, __ATOMIC_RELEASE);
    siginfo_t info;
    hp_clear(&info, sizeof info);
    info.si_signo = parking->number;
    info.si_code = SI_QUEUE;
    info.si_pid = parking->job->pid;
    info.si_value.sival_ptr = (void *)(uintptr_t)((uint64_t)parking->epoch << 32 | index);
    long error = HP_SYSCALL4(SYS_rt_tgsigqueueinfo, parking->job->pid, tid, parking->number, &info);
    if (error) return (int)-error;
    parking->count++;
    return 0;
}

// Sends the signal to every thread not yet listed. Returns how many were new, or a negative errno (-E2BIG: the table is full).
static long signal_new_threads(parking *parking) {
    hp_task_walk walk;
    hp_begin_tasks(&walk, parking->directory);
    long found = 0;
    uint32_t position = 0;
    int32_t tid;
    while ((tid = hp_next_task(&walk)) > 0) {
        if (!hp_is_to_be_held(parking->job, tid)) continue;
        if (listed(parking, tid, position++)) continue;
        if (parking->count == hp_parking_table.capacity) return -E2BIG;
        int error = send(parking, tid);
        if (error == ESRCH) continue;
        if (error) return -error;
        found++;
    }
    return tid < 0 ? tid : found;
}

// Strikes off a thread that has not taken the signal; false where it has.
static bool give_up(const parking *parking, hp_parked *entry) {
    uint32_t epoch = parking->epoch << 2;
    return hp_compare_exchange(&entry->state, epoch | HP_PHASE_SENT, epoch | HP_PHASE_GONE);
}

// Counts who is missing, and strikes off whoever has ended.
static void count_missing(parking *parking, bool look_closely, int32_t *blamed) {
    parking->missing = 0;
    for (uint32_t i = 0; i < parking->count; i++) {
        hp_parked *entry = &hp_parking_table.threads[i];
        uint32_t phase = __atomic_load_n(&entry->state, __ATOMIC_ACQUIRE) & 3;
        if (phase == HP_PHASE_PARKED || phase == HP_PHASE_GONE) continue;
        if (look_closely && phase == HP_PHASE_SENT) {
            char state = hp_task_state(parking->directory, entry->tid);
            if ((state == 'Z' || state == 'X') && give_up(parking, entry)) continue;
        }
        parking->missing++;
        *blamed = entry->tid;
    }
}

static hp_commit_status await_arrivals(parking *parking) {
    enum { PATIENCE_NS = 2000000, LOOKS = 4 };
    int32_t blamed = 0, blocking = 0;
    int looks = 0;
    uint32_t fewest = UINT32_MAX;
    uint64_t deadline = 0;
    for (bool look_closely = false;; look_closely = true) {
        uint32_t arrived;
        do {
            arrived = __atomic_load_n(&hp_parking_table.arrived, __ATOMIC_ACQUIRE);
            count_missing(parking, look_closely, &blamed);
            if (parking->missing == 0) return HP_COMMIT_DONE;
            if (parking->missing < fewest) deadline = hp_patience_end(parking->job);
            fewest = parking->missing;
            // Born, or come to block the signal, since all were asked: it can still be traced.
            if (look_closely && parking->job->options->parking == HP_PARKING_AUTOMATIC) {
                looks = blamed == blocking ? looks : 0;
                blocking = blamed;
                looks = blocks(parking, blamed) ? looks + 1 : 0;
                if (looks == LOOKS) return hp_fail(parking->job, HP_COMMIT_NO_SIGNAL, blamed, 0, 0);
            }
            look_closely = false;
            if (hp_now_ns() >= deadline) return hp_fail(parking->job, HP_COMMIT_DEADLINE, blamed, 0, ETIMEDOUT);
        } while (hp_futex_wait(&hp_parking_table.arrived, arrived, PATIENCE_NS) != -ETIMEDOUT);
    }
}

// Everyone parked: from the first signal until a listing shows nobody new.
static hp_commit_status park_everyone(parking *parking) {
    for (;;) {
        long found = signal_new_threads(parking);
        if (found < 0) return hp_fail(parking->job, HP_COMMIT_SYSTEM, 0, 0, (int)-found);
        if (found == 0) return HP_COMMIT_DONE;
        hp_commit_status status = await_arrivals(parking);
        if (status != HP_COMMIT_DONE) return status;
    }
}

// Calls that the signal has ended early, for good. The handler's frame, which the kernel has just written, says what they return.
static void count_failed_calls(const parking *parking) {
    hp_commit_job *job = parking->job;
    for (uint32_t i = 0; i < parking->count; i++) {
        const hp_parked *entry = &hp_parking_table.threads[i];
        if ((__atomic_load_n(&entry->state, __ATOMIC_ACQUIRE) & 3) != HP_PHASE_PARKED) continue;
        // This holds for a moved thread too: the same instruction stands before its new PC.
        if (hp_context_failed(entry->context) && hp_is_behind_call(job, hp_context_pc(entry->context)))
            job->report->interrupted_calls++;
    }
}

static void release_everyone(parking *parking) {
    for (uint32_t i = 0; i < parking->count; i++) give_up(parking, &hp_parking_table.threads[i]);
    __atomic_store_n(&hp_parking_table.released, parking->epoch, __ATOMIC_RELEASE);
    hp_futex_wake(&hp_parking_table.released, INT32_MAX);
}

static hp_commit_status check(parking *parking) {
    hp_commit_job *job = parking->job;
    if (hp_is_open_signal_handled(job, parking->directory)) return hp_fail(job, HP_COMMIT_DEADLINE, job->caller, 0, EAGAIN);
    hp_commit_status status = hp_check_expected(job);
    if (status != HP_COMMIT_DONE) return status;
    for (uint32_t i = 0; i < parking->count; i++) {
        const hp_parked *entry = &hp_parking_table.threads[i];
        if ((entry->state & 3) != HP_PHASE_PARKED) continue;
        job->report->held_threads++;
        uint64_t pc = hp_context_pc(entry->context);
        if (hp_is_hazard(job->block, pc) && hp_moved_pc(job->block, pc) == pc)
            return hp_fail(job, HP_COMMIT_BUSY, entry->tid, pc, 0);
        parking->looked_at = entry->tid;
        status = hp_check_stack(job, entry->tid, hp_context_sp(entry->context));
        if (status != HP_COMMIT_DONE) return status;
    }
    return hp_search_held(job);
}

// Where /proc/self/mem cannot be opened, as after a process has given up root, memory is read in a way that waits for whoever handles a
// fault (userfaultfd(2)), and who may be parked: for good, and only a death ends it. So a helper reads, which shares the memory, but is a
// process of its own, and is there before anybody is parked.
enum { ORDER_NONE, ORDER_READ, ORDER_LEAVE };

static int read_instead(void *argument) {
    parking *parking = argument;
    uint32_t order;
    while ((order = __atomic_load_n(&parking->order, __ATOMIC_ACQUIRE)) == ORDER_NONE) {
        hp_futex_wait(&parking->order, ORDER_NONE, 10000000);
        if (hp_now_ns() >= parking->job->deadline_ns) return 0;  // the process was killed meanwhile
    }
    if (order == ORDER_LEAVE) return 0;
    parking->found = check(parking);
    __atomic_store_n(&parking->has_read, 1, __ATOMIC_RELEASE);
    return 0;
}

static int start_reader(parking *parking, long stack) {
    parking->order = ORDER_NONE;
    parking->has_read = 0;
    long pid = hp_clone_helper(
        CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_UNTRACED, (void *)(stack + READER_STACK_BYTES), read_instead, parking);
    parking->reader = pid > 0 ? pid : 0;
    return pid < 0 ? (int)-pid : 0;
}

static void end_reader(parking *parking, uint32_t order, uint64_t end_ns) {
    if (!parking->reader) return;
    __atomic_store_n(&parking->order, order, __ATOMIC_RELEASE);
    hp_futex_wake(&parking->order, 1);
    hp_await_helper(parking->reader, end_ns);
    parking->reader = 0;
}

static hp_commit_status check_in_time(parking *parking) {
    hp_commit_job *job = parking->job;
    if (!parking->reader) return check(parking);
    end_reader(parking, ORDER_READ, hp_patience_end(job));
    if (__atomic_load_n(&parking->has_read, __ATOMIC_ACQUIRE)) return parking->found;
    return hp_fail(job, HP_COMMIT_DEADLINE, parking->looked_at, 0, EFAULT);
}

static hp_commit_status check_and_write(parking *parking) {
    hp_commit_job *job = parking->job;
    hp_commit_status status = check_in_time(parking);
    if (status != HP_COMMIT_DONE) return status;
    if (!hp_lay_down_copies(job)) return job->report->status;
    for (uint32_t i = 0; i < parking->count; i++) {
        hp_parked *entry = &hp_parking_table.threads[i];
        if ((entry->state & 3) != HP_PHASE_PARKED) continue;
        uint64_t pc = hp_context_pc(entry->context), moved = hp_moved_pc(job->block, pc);
        if (moved == pc) continue;
        entry->pc = pc;
        hp_context_set_pc(entry->context, moved);
        job->report->moved_threads++;
    }
    if (hp_perform_writes(job)) return HP_COMMIT_DONE;
    if (job->report->status == HP_COMMIT_INCONSISTENT) return HP_COMMIT_INCONSISTENT;
    for (uint32_t i = 0; i < parking->count; i++)
        if (hp_parking_table.threads[i].pc) hp_context_set_pc(hp_parking_table.threads[i].context, hp_parking_table.threads[i].pc);
    return job->report->status;
}

// Whether the thread is still on its way out of the handler of an earlier commit, with all signals blocked.
static bool is_leaving(int32_t tid) {
    for (uint32_t i = 0; i < hp_parking_table.capacity && hp_parking_table.threads[i].tid; i++) {
        const hp_parked *entry = &hp_parking_table.threads[i];
        uint32_t phase = __atomic_load_n(&entry->state, __ATOMIC_ACQUIRE) & 3;
        if (entry->tid == tid && (phase == HP_PHASE_ARRIVING || phase == HP_PHASE_PARKED)) return true;
    }
    return false;
}

// Whether the thread keeps the signal blocked. A new thread does for a moment, and one that leaves our handler does.
static bool keeps_blocking(const parking *parking, int32_t tid) {
    enum { LOOKS = 4, BETWEEN_NS = 300000 };
    for (int looks = 0; blocks(parking, tid);) {
        bool patient = is_leaving(tid) || parking->job->options->parking == HP_PARKING_SIGNAL;
        if (!patient && ++looks == LOOKS) return true;
        if (hp_now_ns() + BETWEEN_NS >= parking->job->deadline_ns) return true;
        hp_sleep_ns(BETWEEN_NS);
    }
    return false;
}

// A thread that blocks the signal, which can only be traced; 0 if there is none. Asked before anybody is disturbed.
static int32_t thread_blocking_signal(const parking *parking) {
    hp_task_walk walk;
    hp_begin_tasks(&walk, parking->directory);
    for (int32_t tid; (tid = hp_next_task(&walk)) > 0;)
        if (hp_is_to_be_held(parking->job, tid) && keeps_blocking(parking, tid)) return tid;
    return 0;
}

hp_commit_status hp_commit_parked(hp_commit_job *job) {
    parking parking;
    hp_clear(&parking, sizeof parking);
    parking.job = job;
    parking.number = claim_signal();
    job->report->parking = HP_PARKING_SIGNAL;
    if (!parking.number) return hp_fail(job, HP_COMMIT_NO_SIGNAL, 0, 0, EBUSY);
    long directory = HP_SYSCALL4(SYS_openat, AT_FDCWD, "/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (directory < 0) return hp_fail(job, HP_COMMIT_SYSTEM, 0, 0, (int)-directory);
    parking.directory = (int)directory;

    hp_commit_status status;
    int32_t blocking = thread_blocking_signal(&parking);
    if (blocking) {
        status = hp_fail(job, HP_COMMIT_NO_SIGNAL, blocking, 0, 0);
    } else {
        uint64_t before = hp_block_signals(job);
        uint32_t capacity = FIRST_CAPACITY;
        bool again;
        long stack = 0;
        if (job->memory < 0)
            stack = HP_SYSCALL6(
                SYS_mmap, 0, READER_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        do {
            int error = stack < 0 || !reserve_table(capacity) ? ENOMEM : stack ? start_reader(&parking, stack) : 0;
            if (error) {
                status = hp_fail(job, HP_COMMIT_SYSTEM, 0, 0, error);
                break;
            }
            parking.count = 0;
            parking.epoch = (hp_parking_table.released + 1) & 0x3fffffff;
            job->report->held_threads = 0;
            job->report->moved_threads = 0;
            hp_begin_hold(job);
            status = park_everyone(&parking);
            if (status == HP_COMMIT_DONE) status = check_and_write(&parking);
            count_failed_calls(&parking);
            release_everyone(&parking);
            hp_end_hold(job);
            end_reader(&parking, ORDER_LEAVE, job->deadline_ns);
            capacity = hp_parking_table.capacity * 2;
            again = status == HP_COMMIT_SYSTEM && job->report->error == E2BIG;
            if (status == HP_COMMIT_SYSTEM && job->report->error == EINVAL && parking.count == 0) {
                give_up_signal(parking.number);
                parking.number = claim_signal();
                again = parking.number != 0;
                if (!again) status = hp_fail(job, HP_COMMIT_NO_SIGNAL, 0, 0, EBUSY);
            }
        } while (again);
        if (stack > 0) HP_SYSCALL2(SYS_munmap, stack, READER_STACK_BYTES);
        hp_unblock_signals(before);
    }
    HP_SYSCALL1(SYS_close, parking.directory);
    return status;
}
