// Defines a template instantiation, an inline function and, with -DSTRONG, a strong one of the store.
template <typename T> __attribute__((noinline)) T twice(T value) { return value * 200; }
template int twice<int>(int);
__attribute__((noinline)) inline int fee(int value) { return value * 300; }
int (*keep)(int) = fee;
#ifdef STRONG
int price(int item) { return item * 400; }
#endif
