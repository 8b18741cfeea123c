// The binaries of a corpus, one after the other, each shared out among processes; and the table.
//
//   prove [--seed N] [--limit N] [--flip N] [--native N] [--processes N] FILE[=NAME]…
#include "prove.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PROCESS_CAPACITY = 16, RESTARTS = 4096 };

typedef struct options {
    uint64_t seed, limit;
    unsigned flip_one_in, native_one_in, processes;
    char *const *files;
    size_t count;
} options;

// What a process has found in a binary: shared, so that another can go on where one ended.
typedef struct result {
    bool done, failed;
    size_t next;                 // the function under way, from 1
    size_t ended_at;             // the same, when the process ended that was here before
    char build_id[41];
    hp_arch arch;
    tally tally, before;         // that function
} result;

static const char *const reason_names[REASON_COUNT] = {
    [HP_UNREADABLE_ENTRY] = "unreadable", [HP_UNDECODABLE] = "undecodable", [HP_TOO_SHORT] = "too short",
    [HP_BRANCH_INTO_PROLOGUE] = "branch into prologue", [HP_BRANCH_TO_ENTRY] = "branch to entry",
    [HP_RETURN_INTO_PROLOGUE] = "return into prologue", [HP_OUT_OF_REACH] = "out of reach", [HP_UNMOVABLE] = "unmovable",
    [HP_ADDRESS_INTO_PROLOGUE] = "address into prologue", [HP_SELF_LOOP] = "self loop", [HP_STUB_OVERFLOW] = "stub overflow",
    [HP_DETOUR_OUT_OF_REACH] = "detour out of reach", [HP_ALREADY_PATCHED] = "already patched", [HP_NO_SIZE] = "no size",
};

// A sample takes each function with the same probability, whatever its neighbours.
static bool is_chosen(const options *options, const image *image, uint64_t address) {
    if (options->limit == 0 || image->function_count <= options->limit) return true;
    uint64_t random = options->seed + address;
    return next_random(&random) % image->function_count < options->limit;
}

static bool arena_is_pristine(const space *space) {
    return memcmp(space_at(space, space->arena, ARENA_SIZE), space->pristine, ARENA_SIZE) == 0;
}

static bool make_prover(prover *prover, const char *file) {
    char path[512];
    snprintf(path, sizeof path, "%.*s", (int)strcspn(file, "="), file);
    const char *name = strchr(file, '=') != NULL ? strchr(file, '=') + 1 : file;
    if (!image_load(&prover->image, path, name) || !space_make(&prover->space, &prover->image, prover->seed)) return false;
    // First, for the child must have no part of the emulator.
    prover->processor = native_make(&prover->space);
    prover->emulator = emulator_make(&prover->space);
    return prover->emulator != NULL;
}

static void free_prover(prover *prover) {
    if (prover->processor != NULL) prover->processor->free(prover->processor);
    prover->emulator->free(prover->emulator);
    space_free(&prover->space);
    image_free(&prover->image);
}

// One process's share of one binary, or what is left of it.
static bool prove_share(const options *options, const char *file, unsigned process, result *result) {
    static prover prover;
    prover = (struct prover){
        .seed = options->seed, .flip_one_in = options->flip_one_in, .native_one_in = options->native_one_in,
        .tally = &result->tally,
    };
    if (!make_prover(&prover, file)) return false;
    const image *image = &prover.image;
    memcpy(result->build_id, image->build_id, sizeof result->build_id);
    result->arch = image->arch;
    bool resumes = result->next != 0, skips = resumes && result->ended_at == result->next, pristine = true;
    if (resumes) {
        result->tally = result->before;
        result->tally.broken += skips;
        fprintf(stderr, "%s+0x%" PRIx64 " has ended the emulator%s\n", image->path,
                image->functions[result->next - 1].address, skips ? " twice" : "");
        result->ended_at = result->next;
    }
    if (!resumes && process == 0) count_foreign(&prover);
    for (size_t i = resumes ? result->next - 1 : process; i < image->function_count; i += options->processes) {
        if (!is_chosen(options, image, image->functions[i].address)) continue;
        prover.skips_emulator = skips && result->ended_at == i + 1;
        result->before = result->tally;
        result->next = i + 1;
        prove_function(&prover, &image->functions[i]);
        if (i / options->processes % 256 == 0) pristine = pristine && arena_is_pristine(&prover.space);
    }
    pristine = pristine && arena_is_pristine(&prover.space);
    if (!pristine) fprintf(stderr, "error: %s: the arena was written without notice.\n", file);
    free_prover(&prover);
    return pristine;
}

static void work(const options *options, unsigned process, result *results) {
    for (size_t i = 0; i < options->count; i++) {
        result *result = &results[i * options->processes + process];
        if (result->done || result->failed) continue;
        result->done = prove_share(options, options->files[i], process, result);
        result->failed = !result->done;
        if (process == 0) fprintf(stderr, "%zu of %zu: %s\n", i + 1, options->count, options->files[i]);
    }
}

static pid_t start(const options *options, unsigned process, result *results) {
    pid_t child = fork();
    if (child != 0) return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    work(options, process, results);
    _exit(0);
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number) {
    (void)number;
    interrupted = 1;
}

// A process that ends early has met an error of the emulator's. Another goes on from there, and leaves the emulator out for a
// function that has ended two.
static void work_all(const options *options, result *results) {
    pid_t processes[PROCESS_CAPACITY];
    unsigned restarts = 0, running = options->processes;
    for (unsigned i = 0; i < options->processes; i++) processes[i] = start(options, i, results);
    // Whoever loses patience gets the table of what is done.
    const struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    while (running > 0) {
        int status = 0;
        pid_t ended = waitpid(-1, &status, 0);
        if (interrupted) break;
        unsigned process = 0;
        while (process < options->processes && processes[process] != ended) process++;
        if (process == options->processes) continue;
        if (status != 0 && restarts++ < RESTARTS) processes[process] = start(options, process, results);
        else running--;
    }
    for (unsigned i = 0; interrupted && i < options->processes; i++) kill(processes[i], SIGKILL);
}

// ---------------------------------------------------------------------------------------------------------

static void add(tally *sum, const tally *part) {
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)part;
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++) to[i] += from[i];
}

static const char *last_component(const char *name) {
    const char *slash = strrchr(name, '/');
    return slash != NULL ? slash + 1 : name;
}

static uint64_t refused(const tally *tally) {
    uint64_t sum = 0;
    for (size_t i = 0; i < REASON_COUNT; i++) sum += tally->refused[i];
    return sum;
}

static void print_row(const char *name, const char *build_id, const tally *tally) {
    const uint64_t columns[] = {
        tally->starts, tally->moved, refused(tally), tally->executed, tally->emulated, tally->natively, tally->faulted,
        tally->far_moved, tally->far_executed, tally->foreign, tally->mismatches + tally->missed,
    };
    printf("| %s | %.12s |", name, build_id);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) printf(" %" PRIu64 " |", columns[i]);
    printf(" %" PRIu64 " of %" PRIu64 " |\n", tally->noticed, tally->flipped);
}

static void print_refusals(const char *name, const tally *tally) {
    printf("Refused, %s:", name);
    const char *separator = " ";
    for (size_t i = 0; i < REASON_COUNT; i++) {
        if (tally->refused[i] == 0) continue;
        printf("%s%s %" PRIu64, separator, reason_names[i] != NULL ? reason_names[i] : "other", tally->refused[i]);
        separator = ", ";
    }
    printf(".\n");
}

static int print_table(const options *options, const result *results, double seconds) {
    tally sums[HP_ARCH_ARM64 + 1] = {0}, all = {0};
    size_t unfinished = 0;
    printf("| binary | build-id | starts | moved | refused | executed | emulated | natively | both faulted | other forms | "
           "executed | entered from elsewhere | mismatches | flips noticed |\n"
           "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    for (size_t i = 0; i < options->count; i++) {
        tally sum = {0};
        const result *first = &results[i * options->processes];
        bool done = true;
        for (unsigned process = 0; process < options->processes; process++) {
            done = done && first[process].done;
            add(&sum, &first[process].tally);
        }
        if (!done) printf("| %s could not be proven | | | | | | | | | | | | | |\n", last_component(options->files[i]));
        unfinished += !done;
        if (!done) continue;
        print_row(last_component(options->files[i]), first->build_id, &sum);
        add(&sums[first->arch], &sum);
        add(&all, &sum);
    }
    const char *names[HP_ARCH_ARM64 + 1] = {[HP_ARCH_X86_64] = "x86_64", [HP_ARCH_ARM64] = "arm64"};
    for (int arch = HP_ARCH_X86_64; arch <= HP_ARCH_ARM64; arch++) {
        if (sums[arch].starts != 0) print_row(names[arch], "", &sums[arch]);
    }
    printf("\n");
    for (int arch = HP_ARCH_X86_64; arch <= HP_ARCH_ARM64; arch++) {
        if (sums[arch].starts != 0) print_refusals(names[arch], &sums[arch]);
    }
    if (all.misjudged != 0) {
        printf("The emulator alone saw %" PRIu64 " differences; the processor sees none there.\n", all.misjudged);
    }
    if (all.broken != 0) printf("%" PRIu64 " functions ended the emulator twice.\n", all.broken);
    printf("From the middle of a prologue: %" PRIu64 " starts, of which %" PRIu64 " fault on both sides.\n", all.boundaries,
           all.boundaries_faulted);
    printf("Entered from elsewhere: the oracle finds %" PRIu64 ", and of these the search misses %" PRIu64 ".\n", all.reached,
           all.missed);
    printf("Seed %" PRIu64 ", %" PRIu64 " pairs of runs in %.0f s.\n", options->seed, all.pairs, seconds);
    bool blind = all.noticed * 10 < all.flipped * 9;
    if (unfinished != 0) printf("error: %zu binaries could not be proven.\n", unfinished);
    if (blind) printf("error: fewer than nine of ten flipped bits were noticed.\n");
    bool refuses = all.moved * 100 < all.starts * 99;
    if (refuses) printf("error: fewer than 99 of 100 functions were moved.\n");
    printf("%" PRIu64 " mismatches\n", all.mismatches + all.missed);
    return all.mismatches != 0 || all.missed != 0 || unfinished != 0 || blind || refuses || all.starts == 0;
}

// ---------------------------------------------------------------------------------------------------------

static bool take_option(options *options, char *const *arguments, int left) {
    uint64_t value = left > 1 ? strtoull(arguments[1], NULL, 10) : 0;
    if (strcmp(arguments[0], "--seed") == 0) options->seed = value;
    else if (strcmp(arguments[0], "--limit") == 0) options->limit = value;
    else if (strcmp(arguments[0], "--flip") == 0) options->flip_one_in = (unsigned)value;
    else if (strcmp(arguments[0], "--native") == 0) options->native_one_in = (unsigned)value;
    else if (strcmp(arguments[0], "--processes") == 0) options->processes = (unsigned)value;
    else return false;
    return left > 1;
}

int main(int argc, char **argv) {
    options options = {.seed = 1, .flip_one_in = 16, .native_one_in = 8, .processes = 2};
    int at = 1;
    while (at < argc && strncmp(argv[at], "--", 2) == 0 && take_option(&options, argv + at, argc - at)) at += 2;
    bool sensible = options.native_one_in > 0 && options.processes > 0 && options.processes <= PROCESS_CAPACITY;
    if (at >= argc || argv[at][0] == '-' || !sensible) {
        fprintf(stderr, "usage: prove [--seed N] [--limit N] [--flip N] [--native N] [--processes 1…16] FILE[=NAME]…\n");
        return 2;
    }
    options.files = argv + at;
    options.count = (size_t)(argc - at);
    size_t size = options.count * options.processes * sizeof(result);
    result *results = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (results == MAP_FAILED) return 2;
    struct timespec began, ended;
    clock_gettime(CLOCK_MONOTONIC, &began);
    work_all(&options, results);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    return print_table(&options, results, (double)(ended.tv_sec - began.tv_sec));
}
