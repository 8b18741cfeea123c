/* Has what it calls from a library that it loads when it first calls it. */
#include <dlfcn.h>
#include <stdlib.h>

long total(void) {
    static long (*loaded)(void);
    if (!loaded) {
        void *library = dlopen(LIBRARY, RTLD_NOW);
        loaded = library ? (long (*)(void))dlsym(library, "total") : NULL;
    }
    if (!loaded) abort();
    return loaded();
}
