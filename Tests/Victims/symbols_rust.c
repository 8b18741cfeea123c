// Names as rustc writes them: version 0, and with a hash.
int plain(void) __asm__("_RNvNtCs1234_5crate6module3foo");
int plain(void) { return 1; }
int conforming(void) __asm__("_RNvXCs1_5crateNtB2_4CartNtB2_6Priced5total");
int conforming(void) { return 2; }
int hashed(void) __asm__("_ZN5crate3old17h0123456789abcdefE");
int hashed(void) { return 3; }
