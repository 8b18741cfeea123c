// What the Swift compiler leaves of two static functions in optimised code: of the first, a specialisation only.
int price(void) __asm__("$s3app4ShopO5price2ofSiSS_tFZTf4nd_n");
int price(void) { return 1; }
int sale(void) __asm__("$s3app4ShopO9salePrice2ofSiSS_tFZ");
int sale(void) { return 2; }
