// -O2 -g: `area` is inlined into both callers, and also exists on its own.
static inline int area(int width, int height) { return width * height + width; }

int floor_area(int x) { return area(x, 3); }
int wall_area(int x, int y) { return area(x, y) * 4; }
int (*area_pointer)(int, int) = area;

// What a compiler calls a clone, and the cold part of a function, which is not one.
int scaled(int x) { return x * 17; }
int scaled_clone(int x) __asm__("scaled.constprop.0");
int scaled_clone(int x) { return x * 18; }
int scaled_cold(int x) __asm__("scaled.cold");
int scaled_cold(int x) { return x * 19; }
