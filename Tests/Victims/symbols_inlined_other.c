// Another file's `area`, inlined as well: not the one of symbols_inlined.c.
static inline int area(int width, int height) { return width + height * 31; }

int other_area(int x) { return area(x, x + 1); }
int (*other_pointer)(int, int) = area;
