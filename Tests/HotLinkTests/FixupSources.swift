/// Programs whose objects have the relocations that compilers and assemblers write.
enum FixupSources {
    /// C and C++: statics, tables of functions, jump tables, thread-locals of every model.
    static let c = """
        #ifdef __cplusplus
        struct shape { int sides; virtual int area(int); };
        int shape::area(int x) { return sides * x; }
        extern "C" {
        #else
        #define thread_local _Thread_local
        #endif
        extern int shared_datum;
        int shared_datum = 3;
        char shared_bytes[100] = {1};
        static int own_datum = 5;
        static long own_zero[40];
        thread_local int local_first = 7;
        thread_local long local_second = 8;
        static thread_local int own_local = 9;
        static thread_local int own_local_zero;
        __attribute__((tls_model("initial-exec"))) thread_local int local_early = 10;
        __attribute__((noinline)) int shared_function(int x) { return x + shared_datum; }
        __attribute__((noinline)) static int own_function(int x) { return own_datum += x; }
        typedef int function(int);
        function *shared_table[] = {shared_function, own_function};
        static function *const own_table[] = {own_function, shared_function};
        long shared_distance = (long)&shared_table[1];
        __attribute__((noinline)) int shared_thread(int x) { local_early += x; return local_first += x; }
        __attribute__((noinline)) int own_thread(int x) { own_local_zero++; return own_local += x + (int)(local_second++); }
        __attribute__((noinline)) int shared_switch(int x) {
            switch (x) {
            case 0: return shared_function(1);
            case 1: return own_function(2);
            case 2: return shared_bytes[x];
            case 3: return (int)own_zero[x]++;
            case 4: return own_thread(x);
            case 5: return shared_thread(x);
            case 6: return x * 3;
            case 7: own_datum = 0x1234567; return 0;
            }
            return own_table[x & 1](x);
        }
        int _start(int x) { return shared_table[x](x) + shared_switch(x) + shared_bytes[x] + (&shared_datum)[0]; }
        #ifdef __cplusplus
        }
        shape shared_shape;
        #endif
        """

    static let swift = #"""
        protocol Priced { var price: Int { get } }
        struct Item: Priced, Codable, Hashable { var name: String; var price: Int }
        final class Store: @unchecked Sendable {
            static let shared = Store()
            private var items: [Item] = []
            func add(_ item: Item) { items.append(item) }
            func total(_ f: (Item) -> Int) -> Int { items.map(f).reduce(0, +) }
        }
        actor Counter {
            var count = 0
            func step(by n: Int) async -> Int { count += n; await Task.yield(); return count }
        }
        enum Failure: Error { case none(String), empty }
        func run(_ any: any Priced) throws -> Int {
            guard let item = any as? Item else { throw Failure.none("\(type(of: any))") }
            return Store.shared.total { $0.price * item.price }
        }
        @main struct Main {
            static func main() async throws {
                Store.shared.add(Item(name: "a", price: 3))
                print(try run(Item(name: "b", price: 2)), await Counter().step(by: 4), \Item.price)
            }
        }
        """#

    /// Every type of x86_64 that linkers know.
    static let x86_64 = """
            .text
            .globl _start, code, far
        _start:
        code:
            call far
            call far@PLT
            jmp far
            call *far@GOTPCREL(%rip)
            jmp *far@GOTPCREL(%rip)
            movl datum@GOTPCREL(%rip), %eax
            movq datum@GOTPCREL(%rip), %rax
            movq datum@GOTPCREL(%rip), %r13
            addq datum@GOTPCREL(%rip), %r9
            cmpl datum@GOTPCREL(%rip), %esi
            testq %rbx, datum@GOTPCREL(%rip)
            xorq datum@GOTPCREL(%rip), %rdx
            pushq datum@GOTPCREL(%rip)
            leaq datum(%rip), %rcx
            movl $7, datum(%rip)
            movb $7, datum+4(%rip)
            movl $datum, %eax
            movq $datum, %rax
            movabsq $datum, %rax
            movabsq $datum@GOTOFF, %rax
            movabsq $_GLOBAL_OFFSET_TABLE_, %rbx
            leaq _GLOBAL_OFFSET_TABLE_(%rip), %rbx
            movabsq $datum@GOT, %rax
            movabsq $far@PLTOFF, %rax
            movl $datum@SIZE, %eax
            movabsq $datum@SIZE, %rax
            leal datum@GOT, %eax
            .byte 0x66
            leaq local@tlsgd(%rip), %rdi
            .value 0x6666
            rex64
            call __tls_get_addr@PLT
            .byte 0x66
            leaq local@tlsgd(%rip), %rdi
            .byte 0x66
            rex64
            call *__tls_get_addr@GOTPCREL(%rip)
            leaq local@tlsld(%rip), %rdi
            call __tls_get_addr@PLT
            leaq local@dtpoff(%rax), %rcx
            leaq local@tlsld(%rip), %rdi
            call *__tls_get_addr@GOTPCREL(%rip)
            movq local@gottpoff(%rip), %rax
            movq local@gottpoff(%rip), %r11
            addq local@gottpoff(%rip), %rax
            addq local@gottpoff(%rip), %r10
            addq local@gottpoff(%rip), %r12
            addq local@gottpoff(%rip), %rsp
            leaq local@tpoff(%rax), %rcx
            movabsq $local@tpoff, %rcx
            leaq local@tlsdesc(%rip), %rax
            call *local@tlscall(%rax)
            ret
            .section .text.far,"ax",@progbits
        far:
            ret
            .globl __tls_get_addr
        __tls_get_addr:
            ret
            .data
            .globl datum, words
            .type datum, @object
            .size datum, 8
        datum: .quad 0
        words:
            .quad far
            .long far - .
            .quad far - .
            .long datum@GOTPCREL
            .long datum@GOTPCREL+8
            .long datum@PLT
            .long _GLOBAL_OFFSET_TABLE_ - .
            .long absolute
            .short small
            .byte tiny
            .short far - .
            .quad datum@SIZE
            .quad local@dtpoff
            .long local@dtpoff
            .quad local@tpoff
            .globl absolute, small, tiny
            .set absolute, 0x12345
            .section .tdata,"awT",@progbits
            .globl local
            .type local,@object
        first: .quad 1
        local: .quad 5
        """

    /// Every type of arm64 that lld knows.
    static let arm64 = """
            .text
            .globl _start, code, far, near
        _start:
        code:
            bl far
            b far
            b.eq far
            cbnz x7, far
            tbz x9, #40, far
            ldr x6, datum
            ldr w6, datum
            adr x7, datum
            adrp x8, datum
            add x9, x8, :lo12:datum
            adrp x8, datum
            add x8, x8, :lo12:datum
            adrp x8, :pg_hi21_nc:datum
            ldrb w0, [x8, :lo12:datum]
            strh w0, [x8, :lo12:datum]
            ldr w0, [x8, :lo12:datum]
            str x0, [x8, :lo12:datum]
            ldr d0, [x8, :lo12:datum]
            ldr q0, [x8, :lo12:datum]
            movz x0, #:abs_g0:small
            movk x0, #:abs_g0_nc:datum
            movz x0, #:abs_g1:datum
            movk x0, #:abs_g1_nc:datum
            movz x0, #:abs_g2:datum
            movk x0, #:abs_g2_nc:datum
            movz x0, #:abs_g3:datum
            movz x0, #:abs_g0_s:small
            movz x0, #:abs_g0_s:negative
            movn x0, #:abs_g0_s:small
            movz x0, #:abs_g1_s:datum
            movz x0, #:abs_g1_s:negative
            movz x0, #:abs_g2_s:datum
            movz x0, #:abs_g2_s:negative
            movz x0, #:prel_g0:near
            movk x0, #:prel_g0_nc:datum
            movz x0, #:prel_g1:datum
            movz x0, #:prel_g1:near
            movk x0, #:prel_g1_nc:datum
            movz x0, #:prel_g2:datum
            movz x0, #:prel_g2:near
            movk x0, #:prel_g2_nc:datum
            movz x0, #:prel_g3:datum
            adrp x0, :got:datum
            ldr x0, [x0, :got_lo12:datum]
            adrp x1, :got:datum
            ldr x2, [x1, :got_lo12:datum]
            adrp x0, :tlsdesc:local
            ldr x1, [x0, :tlsdesc_lo12:local]
            add x0, x0, :tlsdesc_lo12:local
            .tlsdesccall local
            blr x1
            adrp x5, :gottprel:local
            ldr x5, [x5, :gottprel_lo12:local]
            add x0, x0, :tprel_hi12:local
            add x0, x0, :tprel_lo12_nc:local
            ldrb w0, [x0, :tprel_lo12_nc:local]
            ldrh w0, [x0, :tprel_lo12_nc:local]
            ldr w0, [x0, :tprel_lo12_nc:local]
            ldr x0, [x0, :tprel_lo12_nc:local]
            ldr q0, [x0, :tprel_lo12_nc:local]
            movz x0, #:tprel_g2:local
            movz x0, #:tprel_g1:local
            movk x0, #:tprel_g1_nc:local
            movz x0, #:tprel_g0:local
            movk x0, #:tprel_g0_nc:local
            ret
            .section .text.page,"ax",@progbits
            .globl page
        page:
            adrp x0, :got:datum
            ldr x1, [x0, :gotpage_lo15:datum]
            ret
            .section .text.far,"ax",@progbits
        far:
            ret
            .section .text.a,"ax",@progbits
        near:
            ret
            .data
            .globl datum, words, small, negative
            .balign 16
        datum: .quad 0, 0
        words:
            .xword far
            .xword far - .
            .word far - .
            .word tiny
            .hword tiny
            .hword far - .
            .word far@PLT - .
            .word datum@GOTPCREL
            .xword _GLOBAL_OFFSET_TABLE_
            .word absolute
            .globl absolute, tiny
            .set absolute, 0x12345
            .section .tdata,"awT",@progbits
            .globl local
            .type local,@object
            .balign 16
        first: .quad 1, 2
        local: .quad 5, 6
        """
}
