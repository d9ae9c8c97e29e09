// From one translation regime of EL2 to the other. HCR_EL2.E2H changes what TCR_EL2 and the
// descriptors mean, and may be cached in TLBs, so it changes while the MMU is off only.
//
// The MMU goes off in a page that is mapped at its own physical address. From there to the end
// nothing is read or written, so it does not matter that the caches are off: what EL2 has in them
// stays there. The walks afterwards go through the caches, as those before did, and find the
// tables that were written through them.

    .pushsection .text.vhe, "ax"

// switch_regime(x0 = registers, x1 = physical address of install_regime)
    .global switch_regime
    .type   switch_regime, %function
switch_regime:
    ldp     x2, x3, [x0, #{hcr}]
    ldp     x4, x5, [x0, #{mair}]
    ldp     x6, x7, [x0, #{sctlr_off}]
    dsb     ish                         // the tables are written
    br      x1
    .size   switch_regime, . - switch_regime

// x2 = HCR_EL2, x3 = TCR_EL2, x4 = MAIR_EL2, x5 = TTBR0_EL2, x6 and x7 = SCTLR_EL2 with the MMU
// off and on. Runs at its physical address; returns to x30, which the new tables map. A CPU that
// starts may come here too.
    .global install_regime
    .type   install_regime, %function
install_regime:
    msr     sctlr_el2, x6
    isb
    msr     hcr_el2, x2
    isb
    msr     tcr_el2, x3
    msr     mair_el2, x4
    msr     ttbr0_el2, x5
    isb
    tlbi    alle2                       // of the regime that E2H selects now
    ic      iallu
    dsb     nsh
    isb
    msr     sctlr_el2, x7
    isb
    ret
    .size   install_regime, . - install_regime

    .popsection
