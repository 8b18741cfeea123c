// Two functions of the process; the code of the second is the kernel's (vdso(7)).
long time(long *at) { return at ? *at = 1 : 1; }
int price(int item) { return item * 1000; }
