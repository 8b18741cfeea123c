// Two functions of arm64, one of which follows the vector variant of the procedure call standard (AAPCS64): STO_AARCH64_VARIANT_PCS.
    .text
    .globl plain
    .type plain, %function
plain:
    ret
    .size plain, .-plain
    .globl vector_sum
    .variant_pcs vector_sum
    .type vector_sum, %function
vector_sum:
    ret
    .size vector_sum, .-vector_sum
