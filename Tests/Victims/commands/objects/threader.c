/* Asks what threads.c says, in this thread and in another, which lives as long. */
#include <pthread.h>
#include <stdio.h>

long total(void);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int asked, answered;
static long answer;

static void *other(void *unused) {
    pthread_mutex_lock(&lock);
    for (;;) {
        while (asked == answered) pthread_cond_wait(&changed, &lock);
        answer = total();
        answered = asked;
        pthread_cond_broadcast(&changed);
    }
    return unused;
}

int main(void) {
    char line[64];
    pthread_t thread;
    if (pthread_create(&thread, NULL, other, NULL) != 0) return 1;
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        long own = total() + total();
        pthread_mutex_lock(&lock);
        asked++;
        pthread_cond_broadcast(&changed);
        while (asked != answered) pthread_cond_wait(&changed, &lock);
        pthread_mutex_unlock(&lock);
        printf("%ld %ld\n", own, answer);
        fflush(stdout);
    }
    return 0;
}
