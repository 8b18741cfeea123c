// The simplest patch library: functions of the same name. -DPRICE=… and -DTAX=… choose what it defines.
#ifdef TLS
// More thread-local memory than the loader has set aside for libraries that come later.
__thread char block[1 << 20];
#endif
#ifdef PRICE
#ifdef TLS
int price(int item) { return PRICE + block[item]; }
#else
int price(int item) { return PRICE + item; }
#endif
#endif
#ifdef TAX
int tax(int amount) { return TAX + amount; }
#endif
#ifdef WEAK
__attribute__((weak)) int discount(int amount) { return WEAK + amount; }
#endif
#ifdef HIDDEN
__attribute__((visibility("hidden"))) int tax(int amount) { return HIDDEN + amount; }
#endif
#ifdef RATE
int rate(int n) { return RATE + n; }
#endif
#ifdef OTHER
int other(int n) { return OTHER + n; }
#endif
#ifdef MISSING
int nowhere(int);
int price(int item) { return nowhere(item); }
#endif
