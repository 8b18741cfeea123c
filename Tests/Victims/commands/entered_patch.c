// Replaces each function of entered.c that a test names: the answer is 1007.
#define REPLACE(name) int name(int x) { return x + 1000; }
#define ALL(F)                                                                                                         \
    F(short_in) F(near_in) F(called_in) F(nameless_in) F(labelled) F(addressed) F(pointed) F(looped)                   \
    F(looped_nameless) F(tail) F(lookalike) F(unsized) F(unsized_padded) F(unsized_reached) F(roomy) F(narrow)         \
    F(crowded) F(chosen) F(chosen_past)
#define DECLARE(name) int name(int);
ALL(DECLARE)
ALL(REPLACE)
