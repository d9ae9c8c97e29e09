// Exceptions taken to EL2, and the way into a guest.
//
// While a guest runs, SP_EL2 points at its frame: x0 to x30, then the host's
// stack pointer. An exit needs no scratch register and no lookup. The handler
// runs on the stack of `enter_guest`'s caller and answers what comes next:
//   the frame  resume; the C ABI has kept x19-x29, the rest is reloaded
//   RESUME_ALL resume; the handler may have written any register of the frame
//   LEAVE      complete the frame and return from `enter_guest`
// Only an even answer is a frame.

    .pushsection .text.hot.vectors, "ax"

// x0-x18 and x30: all that a handler may clobber. x19 rides along.
    .macro  save_volatile
    stp     x0, x1, [sp, #(8 * 0)]
    stp     x2, x3, [sp, #(8 * 2)]
    stp     x4, x5, [sp, #(8 * 4)]
    stp     x6, x7, [sp, #(8 * 6)]
    stp     x8, x9, [sp, #(8 * 8)]
    stp     x10, x11, [sp, #(8 * 10)]
    stp     x12, x13, [sp, #(8 * 12)]
    stp     x14, x15, [sp, #(8 * 14)]
    stp     x16, x17, [sp, #(8 * 16)]
    stp     x18, x19, [sp, #(8 * 18)]
    str     x30, [sp, #(8 * 30)]
    .endm

    .macro  resume_volatile
    mov     sp, x0
    ldp     x2, x3, [sp, #(8 * 2)]
    ldp     x4, x5, [sp, #(8 * 4)]
    ldp     x6, x7, [sp, #(8 * 6)]
    ldp     x8, x9, [sp, #(8 * 8)]
    ldp     x10, x11, [sp, #(8 * 10)]
    ldp     x12, x13, [sp, #(8 * 12)]
    ldp     x14, x15, [sp, #(8 * 14)]
    ldp     x16, x17, [sp, #(8 * 16)]
    ldr     x18, [sp, #(8 * 18)]
    ldr     x30, [sp, #(8 * 30)]
    ldp     x0, x1, [sp]
    eret
    dsb     nsh                         // no speculation past the return
    isb
    .endm

// x20-x29, for handlers that may read or write them.
    .macro  save_rest
    stp     x20, x21, [x0, #(8 * 20)]
    stp     x22, x23, [x0, #(8 * 22)]
    stp     x24, x25, [x0, #(8 * 24)]
    stp     x26, x27, [x0, #(8 * 26)]
    stp     x28, x29, [x0, #(8 * 28)]
    .endm

    .macro  host_stack
    mov     x0, sp
    ldr     x2, [sp, #{host_sp}]
    mov     sp, x2
    .endm

    .macro  own_fault kind
    .balign 0x80
    msr     tpidr_el0, x0               // the guest's, but nobody returns from here
    mov     x0, #\kind
    b       own_fault
    .endm

    .macro  guest_sync
    .balign 0x80
    save_volatile
    mrs     x1, esr_el2
    host_stack
    lsr     w3, w1, #26
    cmp     w3, #0x16                   // HVC from AArch64
    b.ne    guest_sync_other
    bl      guest_hypercall
    tbnz    w0, #0, after_volatile
    b       resume
    .endm

// Of a guest whose EL1 is AArch32. Its banked registers are x16 to x30: the frame is always
// completed, and all of it reloaded.
    .macro  guest_sync_aarch32
    .balign 0x80
    save_volatile
    mrs     x1, esr_el2
    host_stack
    save_rest
    bl      guest_aarch32
    tbnz    w0, #0, after_complete
    b       resume_all
    .endm

// An FIQ takes the same way, and none comes: the distributor forwards group 1 alone, which is IRQ for
// whoever is not Secure; a GICv2's only group is IRQ while GICC_CTLR.FIQEn is clear; Secure interrupts are
// EL3's where there is one (GICv3, "Interrupt grouping"; GICv2, "Interrupt grouping support").
    .macro  guest_irq
    .balign 0x80
    save_volatile
    host_stack
    bl      guest_interrupt
    tbnz    w0, #0, after_volatile
    b       resume
    .endm

    .macro  guest_serror
    .balign 0x80
    save_volatile
    host_stack
    bl      guest_system_error
    tbnz    w0, #0, after_volatile
    b       resume
    .endm

    .balign 0x800
    .global vectors
vectors:
    own_fault 0
    own_fault 1
    own_fault 2
    own_fault 3
    own_fault 4
    own_fault 5
    own_fault 6
    own_fault 7
    guest_sync
    guest_irq
    guest_irq
    guest_serror
    guest_sync_aarch32
    guest_irq
    guest_irq
    guest_serror
    .balign 0x80

// A trapped MRS or MSR, or a load or store to a device, mostly names a register
// that is saved already. Only for x19 to x29 the frame is completed first, and
// for a load or store that the syndrome does not describe (ISV is 0).
guest_sync_other:
    cmp     w3, #0x18                   // MRS, MSR or system instruction
    ubfx    w4, w1, #5, #5
    b.ne    1f
    sub     w4, w4, #19
    cmp     w4, #(30 - 19)
    b.lo    2f
    bl      guest_system_register
    tbnz    w0, #0, after_volatile
    b       resume
1:  cmp     w3, #0x24                   // data abort
    ubfx    w4, w1, #16, #5
    b.ne    2f
    tbz     w1, #24, 2f
    sub     w4, w4, #19
    cmp     w4, #(30 - 19)
    b.lo    2f
    bl      guest_data_abort
    tbnz    w0, #0, after_volatile
    b       resume
2:  save_rest
    cmp     w3, #0x18
    b.eq    3f
    cmp     w3, #0x24
    b.eq    4f
    bl      guest_synchronous
    tbnz    w0, #0, after_complete
    b       resume
3:  bl      guest_system_register
    tbnz    w0, #0, after_complete
    b       resume_all
4:  bl      guest_data_abort
    tbnz    w0, #0, after_complete
    b       resume_all
resume:
    resume_volatile

after_volatile:
    mov     w1, w0
    ldr     x0, [sp]                    // the frame, where enter_guest put it
    save_rest
    b       1f
after_complete:
    mov     w1, w0
    ldr     x0, [sp]
1:  cmp     w1, #{resume_all}
    b.eq    resume_all
    ldp     x19, x20, [sp, #16]
    ldp     x21, x22, [sp, #32]
    ldp     x23, x24, [sp, #48]
    ldp     x25, x26, [sp, #64]
    ldp     x27, x28, [sp, #80]
    ldp     x29, x30, [sp, #96]
    add     sp, sp, #112
    ret

// enter_guest(frame): runs the guest until a handler answers LEAVE.
    .global enter_guest
    .type   enter_guest, %function
enter_guest:
    sub     sp, sp, #112
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    stp     x29, x30, [sp, #96]
    str     x0, [sp]
    mov     x1, sp
    str     x1, [x0, #{host_sp}]
resume_all:
    ldp     x19, x20, [x0, #(8 * 19)]
    ldp     x21, x22, [x0, #(8 * 21)]
    ldp     x23, x24, [x0, #(8 * 23)]
    ldp     x25, x26, [x0, #(8 * 25)]
    ldp     x27, x28, [x0, #(8 * 27)]
    ldr     x29, [x0, #(8 * 29)]
    b       resume
    .size   enter_guest, . - enter_guest

// A fault of EL2 itself: x0 = kind, TPIDR_EL0 = its x0. The stack it ran on may
// be what faulted, so the emergency stack takes over.
own_fault:
    msr     tpidrro_el0, x1
    mrs     x1, tpidr_el2
    ldr     x1, [x1, #{emergency_stack}]
    sub     x1, x1, #{fault_size}
    stp     x2, x3, [x1, #(8 * 2)]
    stp     x4, x5, [x1, #(8 * 4)]
    stp     x6, x7, [x1, #(8 * 6)]
    stp     x8, x9, [x1, #(8 * 8)]
    stp     x10, x11, [x1, #(8 * 10)]
    stp     x12, x13, [x1, #(8 * 12)]
    stp     x14, x15, [x1, #(8 * 14)]
    stp     x16, x17, [x1, #(8 * 16)]
    stp     x18, x19, [x1, #(8 * 18)]
    stp     x20, x21, [x1, #(8 * 20)]
    stp     x22, x23, [x1, #(8 * 22)]
    stp     x24, x25, [x1, #(8 * 24)]
    stp     x26, x27, [x1, #(8 * 26)]
    stp     x28, x29, [x1, #(8 * 28)]
    mov     x2, sp
    stp     x30, x2, [x1, #(8 * 30)]
    mrs     x2, tpidr_el0
    mrs     x3, tpidrro_el0
    stp     x2, x3, [x1]
    mrs     x2, elr_el2
    mrs     x3, spsr_el2
    stp     x2, x3, [x1, #(8 * 32)]
    mrs     x2, esr_el2
    mrs     x3, far_el2
    stp     x2, x3, [x1, #(8 * 34)]
    mov     sp, x1
    mov     x2, x1
    mov     x1, x0
    mov     x0, x2
    bl      hypervisor_fault
1:  wfe
    b       1b
    .popsection
