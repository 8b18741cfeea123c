// The simplest patch library: functions of the same name. -DPRICE=… and -DTAX=… choose what it defines.
#ifdef PRICE
int price(int item) { return PRICE + item; }
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
