// Vectors that cost as little as they can.

.macro bench_vector target
    .balign 0x80
    b       \target
.endm

.macro bench_table interrupt
    .rept 4
    bench_vector bench_unexpected
    .endr
    bench_vector bench_fault
    bench_vector \interrupt
    .rept 10
    bench_vector bench_unexpected
    .endr
.endm

.section .text.bench, "ax"
.balign 0x800
.global bench_vectors
bench_vectors:
    bench_table bench_interrupt

.balign 0x800
.global bench_vectors_v2
bench_vectors_v2:
    bench_table bench_interrupt_v2

// An interrupt: note when, acknowledge, silence the timer, end, count.
bench_interrupt:
    stp     x0, x1, [sp, #-32]!
    stp     x2, x3, [sp, #16]
    mrs     x1, CNTVCT_EL0
    mrs     x2, TPIDR_EL1
    mrs     x0, ICC_IAR1_EL1
    cmp     x0, #27
    b.ne    1f
    msr     CNTV_CTL_EL0, xzr
    isb
1:  msr     ICC_EOIR1_EL1, x0
    str     x1, [x2, #{stamp}]
    ldr     x3, [x2, #{taken}]
    add     x3, x3, #1
    str     x3, [x2, #{taken}]
    ldp     x2, x3, [sp, #16]
    ldp     x0, x1, [sp], #32
    eret

// The same with a GICv2: IAR and EOIR of its CPU interface.
bench_interrupt_v2:
    stp     x0, x1, [sp, #-32]!
    stp     x2, x3, [sp, #16]
    mrs     x1, CNTVCT_EL0
    mrs     x2, TPIDR_EL1
    ldr     x3, [x2, #{interface}]
    ldr     w0, [x3, #0xc]
    cmp     w0, #27
    b.ne    1f
    msr     CNTV_CTL_EL0, xzr
    isb
1:  str     w0, [x3, #0x10]
    str     x1, [x2, #{stamp}]
    ldr     x3, [x2, #{taken}]
    add     x3, x3, #1
    str     x3, [x2, #{taken}]
    ldp     x2, x3, [sp, #16]
    ldp     x0, x1, [sp], #32
    eret

// A fault: count, step over.
bench_fault:
    stp     x0, x1, [sp, #-16]!
    mrs     x1, TPIDR_EL1
    ldr     x0, [x1, #{faults}]
    add     x0, x0, #1
    str     x0, [x1, #{faults}]
    mrs     x0, ELR_EL1
    add     x0, x0, #4
    msr     ELR_EL1, x0
    ldp     x0, x1, [sp], #16
    eret

bench_unexpected:
    b       .
