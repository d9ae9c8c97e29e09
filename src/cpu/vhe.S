// From one translation regime of EL2 to the other. HCR_EL2.E2H changes what TCR_EL2 and the
// descriptors mean, and may be cached in TLBs, so it changes only while the MMU is off.
//
// The MMU goes off in a page that is mapped at its own physical address. Until it is on again
// nothing is read or written, so it does not matter that the caches are off meanwhile: what EL2
// has in them stays there. The walks that follow go through the caches, as those before did, and
// find the tables that were written through them: nothing has to be cleaned.

    .pushsection .text.vhe, "ax"

// switch_regime(x0 = tables, x1 = E2H, x2 = physical address of switch_with_mmu_off)
    .global switch_regime
    .type   switch_regime, %function
switch_regime:
    stp     x21, x22, [sp, #-32]!
    stp     x24, x30, [sp, #16]
    mov     x21, xzr                    // at EL2, for mmu_on
    mov     x22, x1
    mov     x24, x0
    ldr     x3, ={sctlr_el2_off}
    ldr     x4, ={hcr_el2_boot}
    orr     x4, x4, x22, lsl #34
    dsb     ish                         // the tables are written
    br      x2
    .global switch_with_mmu_off
switch_with_mmu_off:
    msr     sctlr_el2, x3
    isb
    msr     hcr_el2, x4
    isb
    bl      mmu_on                      // drops all that TLBs hold for the regime that is new
    ldp     x24, x30, [sp, #16]
    ldp     x21, x22, [sp], #32
    ret
    .size   switch_regime, . - switch_regime
    .ltorg

    .popsection
