// A library with one name in two versions; new programs bind to V2.
int versioned_old(int a) { return a * 11; }
int versioned_new(int a) { return a * 13; }
__asm__(".symver versioned_old, versioned@V1");
__asm__(".symver versioned_new, versioned@@V2");
