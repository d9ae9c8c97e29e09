// Turns the MMU and the caches off, stops PCI's bus masters, and enters the
// hypervisor. x0 = device tree, x1 = hypervisor, x2 = pairs of start and size of
// PCI's configuration spaces, the last of nothing. No stack is used: with the
// caches off, what is on it may be old.

    .text
    .balign 64
    .global entresol_enter
entresol_enter:
    msr     daifset, #0xf
    dsb     sy
    mrs     x3, sctlr_el2
    mov     x4, #((1 << 0) | (1 << 2))  // M, C
    orr     x4, x4, #(1 << 12)          // I
    bic     x3, x3, x4
    msr     sctlr_el2, x3
    isb
    tlbi    alle2
    ic      iallu
    dsb     sy
    isb

    // Each function of each bus, by reads and writes of 32 bits: some hosts know
    // no others. Where nothing is, reads give ones. With the MMU off these are
    // device accesses, in order.
1:  ldp     x4, x5, [x2], #16
    cbz     x5, 4f
2:  ldr     w6, [x4]                    // vendor and device
    cmn     w6, #1
    b.eq    3f
    ldr     w6, [x4, #4]                // command, and status above
    tbz     w6, #2, 3f
    and     w6, w6, #0xffff             // ones in the status would clear it
    and     w6, w6, #~(1 << 2)
    str     w6, [x4, #4]
3:  add     x4, x4, #4096
    subs    x5, x5, #4096
    b.ne    2b
    b       1b

4:  dsb     sy
    mov     x4, x1
    mov     x1, xzr
    mov     x2, xzr
    mov     x3, xzr
    br      x4
    .global entresol_enter_end
entresol_enter_end:
