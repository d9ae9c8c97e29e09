// The second CPU arrives with its MMU off.

.section .text.second, "ax"
.global guest_second_cpu
guest_second_cpu:
    adrp    x0, {start}
    add     x0, x0, :lo12:{start}
    ldp     x1, x2, [x0, #{ttbr}]
    msr     TTBR0_EL1, x1
    msr     TCR_EL1, x2
    ldp     x1, x2, [x0, #{mair}]
    msr     MAIR_EL1, x1
    ldr     x3, [x0, #{main}]
    tlbi    vmalle1
    ic      iallu
    dsb     nsh
    isb
    msr     SCTLR_EL1, x2
    isb
    adrp    x0, {stack}
    add     x0, x0, :lo12:{stack}
    add     sp, x0, #{stack_size}
    mov     x29, xzr
    mov     x30, xzr
    br      x3
