// A small patch library for idle.c.
int quote(int price) { return price * 5 + 2; }
