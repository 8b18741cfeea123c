// Cannot be loaded: it needs a function that nobody has.
extern int nobody_has_this_function(void);
int broken(void) { return nobody_has_this_function(); }
