// Every general register holds a number of its own while the machine is left and entered.

.macro fill
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    movz    x\n, #(0x1000 + \n)
    movk    x\n, #(0x2100 + \n), lsl #16
    movk    x\n, #(0x3200 + \n), lsl #32
    movk    x\n, #(0xc300 + \n), lsl #48
    .endr
.endm

// u64 name(u64 registers[32]): the last one is NZCV.
.macro around name, argument:vararg
    .global \name
\name:
    stp     x29, x30, [sp, #-112]!
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    str     x0, [sp, #96]
    fill
    msr     NZCV, x3                    // bits 31:28 of the number in X3: 2, C
    \argument
    stp     x0, x1, [sp, #-16]!
    ldr     x0, [sp, #112]
    stp     x2, x3, [x0, #16]
    stp     x4, x5, [x0, #32]
    stp     x6, x7, [x0, #48]
    stp     x8, x9, [x0, #64]
    stp     x10, x11, [x0, #80]
    stp     x12, x13, [x0, #96]
    stp     x14, x15, [x0, #112]
    stp     x16, x17, [x0, #128]
    stp     x18, x19, [x0, #144]
    stp     x20, x21, [x0, #160]
    stp     x22, x23, [x0, #176]
    stp     x24, x25, [x0, #192]
    stp     x26, x27, [x0, #208]
    stp     x28, x29, [x0, #224]
    mrs     x1, NZCV
    stp     x30, x1, [x0, #240]
    ldp     x2, x3, [sp], #16
    stp     x2, x3, [x0]
    ldp     x19, x20, [sp, #16]
    ldp     x21, x22, [sp, #32]
    ldp     x23, x24, [sp, #48]
    ldp     x25, x26, [sp, #64]
    ldp     x27, x28, [sp, #80]
    ldp     x29, x30, [sp], #112
    ret
.endm

.macro call conduit
    movz    x0, #0x8400, lsl #16        // PSCI_VERSION
    \conduit #0
.endm

.macro device_load
    movz    x6, #0x0900, lsl #16        // UARTFR
    ldr     w5, [x6, #0x18]
.endm

.macro device_store
    movz    x6, #0x0900, lsl #16        // UARTIMSC
    str     wzr, [x6, #0x38]
.endm

.macro device_load_into_30
    movz    x6, #0x0900, lsl #16
    ldr     w30, [x6, #0x18]
.endm

.macro interrupt
    mrs     x9, CNTVCT_EL0
    msr     CNTV_CVAL_EL0, x9
    mov     x9, #1
    msr     CNTV_CTL_EL0, x9            // the handler sets IMASK
    isb
1:  mrs     x9, CNTV_CTL_EL0
    tbz     x9, #1, 1b
.endm

.text
around state_over_hvc, call hvc
around state_over_smc, call smc
around state_over_load, device_load
around state_over_load_into_30, device_load_into_30
around state_over_store, device_store
around state_over_id_register, mrs x7, ID_AA64PFR0_EL1
around state_over_debug_register, mrs x29, MDSCR_EL1
around state_over_wfi, wfi
around state_over_interrupt, interrupt
.purgem fill
.purgem around
.purgem call
.purgem device_load
.purgem device_store
.purgem device_load_into_30
.purgem interrupt
