// hotpatch.h: for patch libraries that say what they replace.
//
// A patch library is a shared library. Without this header its strong, exported functions replace the target's functions of the
// same name. With it, a function of any name replaces what it says, a pointer receives the original, and code runs when the
// patch is applied or reverted:
//
//     #include <hotpatch.h>
//
//     int (*old_price)(int item) HOTPATCH_ORIGINAL("price");
//
//     int new_price(int item) HOTPATCH_REPLACES("price");
//     int new_price(int item) { return old_price(item) * 2; }
//
//     int hotpatch_on_apply(void) { return 0; }        // before anything is replaced; not 0 refuses the patch
//     void hotpatch_on_revert(void) {}                 // once the originals are back
//
//     cc -shared -fPIC -o fix.so fix.c && swift-hotpatch apply fix.so --pid 4711
//
// Names are mangled: "_ZN4Shop5priceEi" for C++, "$s4Shop5price2ofS2i_tF" for Swift. `swift-hotpatch symbols` prints them.
// Static functions of one name are told apart by their source file, versions by the version, and any functions by where they are in
// their image (`nm`): HOTPATCH_IN("helper", "main.c"), HOTPATCH_IN("memcpy", "GLIBC_2.2.5") and HOTPATCH_AT("libshop.so", "0x1136") stand
// for names in both macros. What they are made of may be letters, digits, "_", "$" and ".".
// Both macros give a symbol a name that the patcher knows; they cost nothing at run time. From Swift the same is written
// @_silgen_name("hotpatch.replace.$s4Shop5price2ofS2i_tF") public func newPrice(of: Int) -> Int { … }
#pragma once

// After a declaration of a function: it replaces the target's function of this name.
#define HOTPATCH_REPLACES(target) __asm__("hotpatch.replace." target) __attribute__((visibility("default")))

// The function of this name that is static in a file, or has a version.
#define HOTPATCH_IN(target, file) target ".hotpatch.in." file

// The function at an offset from where its image begins.
#define HOTPATCH_AT(image, offset) image ".hotpatch.at." offset

// After the definition of a pointer variable: it receives the address of the original before the replacement first runs.
// The library must also replace that function.
#define HOTPATCH_ORIGINAL(target) __asm__("hotpatch.original." target) __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

// Optional. Runs in the target, on a thread of its own, after the library is loaded and before any function is replaced.
// Anything but 0 refuses the patch: nothing is replaced.
__attribute__((visibility("default"))) int hotpatch_on_apply(void);

// Optional. Runs in the target, on a thread of its own, after the patch was reverted by the command, or could not be made
// although hotpatch_on_apply had agreed. The library stays loaded.
__attribute__((visibility("default"))) void hotpatch_on_revert(void);

#ifdef __cplusplus
}
#endif
