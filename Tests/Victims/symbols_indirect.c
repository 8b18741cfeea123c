// Functions chosen at load time (IFUNC).
typedef int function(void);

__attribute__((noinline)) int slow_choice(void) { return 1; }
__attribute__((noinline)) int fast_choice(void) { return 2; }
static function *resolve(void) { return fast_choice; }
static function *resolve_another(void) { return slow_choice; }

// Bound through a slot with a name, through a slot without one, and not at all.
int chosen(void) __attribute__((ifunc("resolve")));
__attribute__((visibility("hidden"))) int chosen_inside(void) __attribute__((ifunc("resolve")));
int never_bound(void) __attribute__((ifunc("resolve_another")));

int call_chosen(void) { return chosen() * 10 + chosen_inside(); }
