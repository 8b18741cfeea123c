// Edited while it runs: what C programs have besides functions. Each question is answered by the file that main is not in.
#include <stdio.h>
#include <string.h>

typedef struct { int x, y; } point;
struct outer { int id; struct { int p, q; } in; };
enum color { red, green };
typedef int number;

static char text[200];
static point corner = {3, 4};
static struct outer whole = {1, {2, 3}};
static struct { int a, b; } nameless = {8, 9};
static int grid[2][3] = {{1, 2, 3}, {4, 5, 6}};
int bits = 1065353216;
static enum color paint = green;

static int twice(int n) { return n * 2; }
static int thrice(int n) { return n * 3; }
struct entry { const char *name; int (*f)(int); };
static const struct entry table[] = {{"twice", twice}, {"thrice", thrice}};
static const char *const words[] = {"one", "two"};
static const int primes[] = {2, 3, 5};

static int first(void) { static int calls = 10; return calls++; }
static int second(void) { static int calls = 20; return calls++; }

static int started;
__attribute__((constructor)) static void start(void) { started += 1; }

int real(void) { return 11; }
int other(void) { return 22; }
int again(void) __attribute__((alias("real")));

static number numeric(number n) { return n + 1; }
static int scan(const int *all, unsigned count) {
    int sum = 0;
    for (unsigned i = 0; i < count; i++) sum += all[i];
    return sum;
}
// more

const char *answer(const char *question) {
    if (!strcmp(question, "layout"))
        sprintf(text, "%d %d %d %d %d", corner.x, whole.in.p, nameless.a, grid[1][0], bits >> 20);
    else if (!strcmp(question, "color")) sprintf(text, "%d", paint == green);
    else if (!strcmp(question, "table"))
        for (unsigned i = text[0] = 0; i < sizeof table / sizeof *table; i++)
            sprintf(text + strlen(text), "%s %d ", table[i].name, table[i].f(4));
    else if (!strcmp(question, "words"))
        for (unsigned i = text[0] = 0; i < sizeof words / sizeof *words; i++) sprintf(text + strlen(text), "%s ", words[i]);
    else if (!strcmp(question, "primes")) sprintf(text, "%d", scan(primes, sizeof primes / sizeof *primes));
    else if (!strcmp(question, "statics")) {
        int a = first(), b = second();
        sprintf(text, "%d %d", a, b);
    } else if (!strcmp(question, "started")) sprintf(text, "%d", started);
    else if (!strcmp(question, "alias")) sprintf(text, "%d %d", again(), other());
    else if (!strcmp(question, "number")) sprintf(text, "%d", (int)numeric(4));
    else strcpy(text, "?");
    return text;
}
