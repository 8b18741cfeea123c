// With symbols_scopes_other.c: definitions of one name in several scopes.
__attribute__((noinline)) static int two_statics(int x) { return x + 1; }
__attribute__((noinline)) static int static_and_global(int x) { return x + 2; }
__attribute__((noinline)) int in_two_images(int x) { return x + 3; }
// Two labels with one address.
__attribute__((noinline)) int aliased(int x) { return x + 4; }
int other_label(int x) __attribute__((alias("aliased")));
int variable_in_library = 7;
_Thread_local int per_thread = 3;

int use_scopes(int x) {
    return two_statics(x) + static_and_global(x) + in_two_images(x) + aliased(x) + per_thread;
}

// Hand-written: one function without a type, one without a size.
__asm__(".text\n"
        ".globl untyped_entry\n"
        "untyped_entry:\n"
        "nop\n"
        "ret\n"
        ".p2align 4\n"
        ".globl sizeless\n"
        ".type sizeless, %function\n"
        "sizeless:\n"
        ".cfi_startproc\n"
        "nop\n"
        "nop\n"
        "ret\n"
        ".cfi_endproc\n"
        ".p2align 4\n");
