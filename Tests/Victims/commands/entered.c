// Functions whose first bytes other code of the program leads into, or seems to. All double their argument and add one.
#include <stdio.h>
#include <unistd.h>

#define FUNCTIONS(F)                                                                                                   \
    F(short_in) F(near_in) F(called_in) F(nameless_in) F(labelled) F(addressed) F(pointed) F(looped)                   \
    F(looped_nameless) F(tail) F(lookalike) F(unsized) F(unsized_padded) F(unsized_reached) F(to_short_in)             \
    F(to_near_in) F(to_tail) F(roomy) F(to_roomy) F(narrow) F(to_narrow) F(runs_on) F(crowded) F(to_crowded)    \
    F(chosen) F(chosen_past) F(to_chosen_past)

#define DECLARE(name) int name(int);
FUNCTIONS(DECLARE)

#define BEGIN(name) ".globl " #name "\n.type " #name ", @function\n" #name ":\n"
#define END(name) ".size " #name ", . - " #name "\n"
#define PIECE(...) ".cfi_startproc\n" __VA_ARGS__ ".cfi_endproc\n"
// Keep short jumps from what lies on the other side.
#define FAR ".rept 150\nud2\n.endr\n"
#define WALL(name) BEGIN(name) ".rept 70\nud2\n.endr\n" END(name)

#if defined __x86_64__
#define LABELLED(name, label) BEGIN(name) "mov %edi, %eax\n" label ":\nadd %eax, %eax\nadd $1, %eax\nret\n" END(name)
#define INSIDE(name) LABELLED(name, ".L" #name)
// A switch of two cases, whose check is all that says so: behind its table, another leads into its first bytes.
#define CHOOSING(name)                                                                                                 \
    BEGIN(name) "mov %edi, %eax\n.L" #name ": add %eax, %eax\ncmp $1, %edi\nja 2f\n.L" #name "_checked:"                  \
    "lea 9f(%rip), %rdx\nmovslq (%rdx,%rdi,4), %rcx\nadd %rdx, %rcx\njmp *%rcx\n1: nop\n2: add $1, %eax\nret\n"          \
    END(name) ".pushsection .rodata\n.balign 4\n9: .long 1b - 9b, 2b - 9b, .L" #name " - 9b\n.popsection\n"
__asm__(
    ".text\n"
    INSIDE(short_in)
    BEGIN(to_short_in) "mov %edi, %eax\njmp .Lshort_in\n" END(to_short_in)
    INSIDE(near_in) INSIDE(called_in) INSIDE(nameless_in) INSIDE(addressed) INSIDE(pointed) INSIDE(lookalike)
    LABELLED(labelled, "labelled_goes_on")
    FAR
    BEGIN(to_near_in) "mov %edi, %eax\njmp .Lnear_in\n" END(to_near_in)
    BEGIN(to_called_in) "mov %edi, %eax\ncall .Lcalled_in\nret\n" END(to_called_in)
    PIECE("mov %edi, %eax\ntest %eax, %eax\njns .Lnameless_in\nret\n")
    BEGIN(to_addressed) "lea .Laddressed(%rip), %rax\ncmp %rdi, %rax\nsete %al\nret\n" END(to_addressed)
    ".pushsection .data\n.balign 8\n.quad .Lpointed\n.popsection\n"
    // movabs whose constant reads as `jmp .Llookalike`.
    BEGIN(to_lookalike) ".byte 0x48, 0xb8, 0xe9\n.long .Llookalike - . - 4\n.byte 0, 0, 0\nret\n" END(to_lookalike)

    // Loops whose rarely run half lies elsewhere, and goes back to the very entry.
    PIECE(BEGIN(looped) "cmp $100, %edi\nja looped.cold\nlea 1(%rdi,%rdi), %eax\nret\n" END(looped))
    PIECE(BEGIN(looped_nameless) "cmp $100, %edi\nja .Lcold\nlea 1(%rdi,%rdi), %eax\nret\n" END(looped_nameless))
    FAR
    PIECE(".type looped.cold, @function\nlooped.cold: sub $100, %edi\njmp looped\n" END(looped.cold))
    PIECE(".Lcold: sub $100, %edi\njmp looped_nameless\n")
    PIECE(BEGIN(tail) "lea 1(%rdi,%rdi), %eax\nret\nnop\n" END(tail))
    PIECE(BEGIN(to_tail) "and $0xffff, %edi\njmp tail\n" END(to_tail))

    BEGIN(unsized) "jmp tail\nhelper: lea 7(%rdi), %eax\nret\n"
    ".p2align 4, 0xcc\n"
    BEGIN(unsized_padded) "lea 1(%rdi,%rdi), %eax\nret\n.p2align 4, 0x90\n"
    BEGIN(unsized_reached) "jmp tail\n.Lreached: nop\nnop\nnop\nint3\n.p2align 4, 0xcc\n"
    BEGIN(to_reached) "jmp .Lreached\n" END(to_reached)

    CHOOSING(chosen) CHOOSING(chosen_past)
    BEGIN(to_chosen_past) "lea (%rdi,%rdi), %eax\nmov $1, %edi\njmp .Lchosen_past_checked\n" END(to_chosen_past)

    // Padding near by: of nobody; run on into by the function before; jumped to.
    WALL(wall_1)
    BEGIN(to_roomy) "mov %edi, %eax\njmp .Lroomy\n" END(to_roomy) ".skip 8, 0x90\n" INSIDE(roomy)
    WALL(wall_2)
    BEGIN(to_narrow) "mov %edi, %eax\njmp .Lnarrow\n" END(to_narrow)
    BEGIN(runs_on) "mov %edi, %eax\n" END(runs_on) ".skip 8, 0x90\n" INSIDE(narrow)
    WALL(wall_3)
    BEGIN(to_crowded) "mov %edi, %eax\njmp .Lcrowded\n" END(to_crowded)
    ".skip 4, 0x90\n.Lgap: .skip 4, 0x90\n" INSIDE(crowded)
    WALL(wall_4)
    BEGIN(to_gap) "jmp .Lgap\n" END(to_gap));
#elif defined __aarch64__
#define PLAIN(name) BEGIN(name) "add w0, w0, w0\nadd w0, w0, #1\nret\n" END(name)
__asm__(
    ".text\n"
    PLAIN(short_in) PLAIN(near_in) PLAIN(called_in) PLAIN(nameless_in) PLAIN(labelled) PLAIN(addressed) PLAIN(pointed)
    PLAIN(lookalike) PLAIN(to_short_in) PLAIN(to_near_in)
    PLAIN(roomy) PLAIN(to_roomy) PLAIN(narrow) PLAIN(to_narrow) PLAIN(runs_on) PLAIN(crowded) PLAIN(to_crowded)
    PLAIN(chosen) PLAIN(chosen_past) PLAIN(to_chosen_past)
    PIECE(BEGIN(looped) "cmp w0, #100\nb.hi looped.cold\nadd w0, w0, w0\nadd w0, w0, #1\nret\n" END(looped))
    PIECE(BEGIN(looped_nameless) "cmp w0, #100\nb.hi .Lcold\nadd w0, w0, w0\nadd w0, w0, #1\nret\n"
        END(looped_nameless))
    PIECE(".type looped.cold, @function\nlooped.cold: sub w0, w0, #100\nb looped\n" END(looped.cold))
    PIECE(".Lcold: sub w0, w0, #100\nb looped_nameless\n")
    PIECE(PLAIN(tail))
    PIECE(BEGIN(to_tail) "and w0, w0, #0xffff\nb tail\n" END(to_tail))
    // One instruction is overwritten, whatever follows it.
    BEGIN(unsized) "b tail\nhelper: add w0, w0, #7\nret\n"
    BEGIN(unsized_padded) "b tail\nnop\n"
    BEGIN(unsized_reached) "b tail\n.Lreached: nop\nret\n"
    BEGIN(to_reached) "b .Lreached\n" END(to_reached));
#endif

int main(void) {
    alarm(120);  // whatever happens to the test
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    for (char line[64]; fgets(line, sizeof line, stdin);) {
#define TELL(name) printf(" %s %d", #name, name(7));
        FUNCTIONS(TELL)
        puts("");
    }
    return 0;
}
