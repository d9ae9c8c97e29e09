// Where the guest starts, and its exception vectors. Every exception is noted in `record`, and goes
// on in Supervisor mode where `record` says, if a check waits for one.

    .arch armv7-a
    .arch_extension virt
    .arm

    .section .text.head, "ax"
    .global _start
_start:
    ldr     r4, =boot_registers
    stm     r4, {{r0-r3}}
    mrs     r5, cpsr
    str     r5, [r4, #16]
    cps     #0x17
    ldr     sp, =abort_stack
    cps     #0x1b
    ldr     sp, =undefined_stack
    cps     #0x13
    ldr     sp, =supervisor_stack
    ldr     r0, =vectors
    mcr     p15, 0, r0, c12, c0, 0
    isb
    bl      main
1:  b       1b
    .ltorg

    .balign 32
vectors:
    b       .
    b       took_undefined
    b       .
    b       took_prefetch_abort
    b       took_data_abort
    b       .
    b       .
    b       .

    .macro  took kind
    push    {{r0-r1}}
    ldr     r0, =record
    mov     r1, #\kind
    str     r1, [r0]
    str     lr, [r0, #4]
    mrs     r1, spsr
    str     r1, [r0, #8]
    mrs     r1, cpsr
    str     r1, [r0, #12]
    ldr     lr, [r0, #16]
    cmp     lr, #0
    ldreq   lr, =unexpected_exception
    ldr     r1, =0x1d3
    msr     spsr_cxsf, r1
    pop     {{r0-r1}}
    movs    pc, lr
    .endm

took_undefined:
    took    0x04
took_prefetch_abort:
    took    0x0c
took_data_abort:
    took    0x10
    .ltorg

// Where the second CPU starts, in T32: stores r0 and its PSTATE, and goes off.
    .text
    .thumb
    .thumb_func
    .global second_cpu
second_cpu:
    ldr     r3, =second_cpu_saw
    mrs     r2, cpsr
    str     r2, [r3, #4]
    dmb
    str     r0, [r3]
    dmb
    ldr     r0, =0x84000002
    .inst.w 0xf7e08000                  // hvc #0
1:  b       1b
    .ltorg

// Trapped accesses in an IT block. r0 goes to ACTLR and comes back in r1; r2 stays.
    .thumb_func
    .global it_block
it_block:
    movs    r1, #0
    movs    r2, #7
    movs    r3, #0
    cmp     r3, #0
    ittee   eq
    mcreq   p15, 0, r0, c1, c0, 1
    mrceq   p15, 0, r1, c1, c0, 1
    movne   r1, #9
    movne   r2, #9
    bx      lr

// A load from a device of 16 bits, then one of 32 bits in an IT block: r0 is the address.
    .thumb_func
    .global it_block_of_loads
it_block_of_loads:
    ldr     r1, [r0]
    movs    r2, #7
    movs    r3, #1
    cmp     r3, #0
    itte    ne
    ldrne   r2, [r0]
    ldrhne  r3, [r0]
    moveq   r2, #9
    bx      lr

// An access to a register that is not there, in an IT block.
    .thumb_func
    .global undefined_in_it_block
undefined_in_it_block:
    cmp     r0, r0
    itt     eq
    .global undefined_in_t32
undefined_in_t32:
    mrceq   p15, 0, r1, c15, c0, 0
    moveq   r1, #9
    bx      lr
    .arm
