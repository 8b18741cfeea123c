// C types that functions of Swift may take, and that Swift sees in different depth.
#pragma once

#include <stdint.h>

union victim_union {
    int64_t integer;
    double number;
};

// Swift has neither field; they are properties that read bits.
struct victim_bits {
    uint32_t low : 3;
    uint32_t high : 29;
};

// Swift has the first and the last of its fields.
struct victim_partly_bits {
    int64_t first;
    uint32_t low : 3;
    double last;
};

// Swift's two fields are where they would be if there were no others.
struct victim_hidden_bits {
    int32_t first;
    uint32_t low : 3;
    double last;
};

struct victim_around_hidden_bits {
    struct victim_hidden_bits inner;
};

// Passed by address, whatever is in it.
struct victim_large_with_bits {
    double first[5];
    uint32_t low : 3;
};

struct victim_with_union {
    int64_t first;
    union victim_union second;
};

// Swift has no type for the second field, and leaves it out.
struct victim_partly_seen {
    int64_t first;
    _Complex float second;
    int64_t third;
};

struct victim_plain {
    int32_t first;
    float second;
    double third[2];
};

struct __attribute__((packed)) victim_packed {
    int8_t first;
    int32_t second;
    int16_t third;
};

enum __attribute__((enum_extensibility(closed))) victim_single { victim_single_case };
