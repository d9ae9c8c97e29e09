// The first instructions of every CPU but the first: from the firmware, MMU off,
// to Rust at the fixed virtual address.

    .pushsection .head.secondary, "ax"

// From a spin table, which hands nothing over: the call says who is meant, and
// where its start block is. Who isn't waits for the next call: it shares its
// place in the table with others, or came when it was no longer waited for.
    .global spinning_entry
spinning_entry:
    mrs     x1, mpidr_el1
    ldr     x2, ={affinity}
    and     x1, x1, x2
    adrp    x2, {call}
    add     x2, x2, :lo12:{call}
1:  ldr     x3, [x2, #{call_affinity}]
    cmp     x1, x3
    b.eq    2f
    wfe
    b       1b
2:  dmb     sy                          // the block was written before the name
    ldr     x0, [x2, #{call_block}]

// From PSCI, which hands over x0 = its start block, physical.
    .global secondary_entry
secondary_entry:
    msr     daifset, #0xf
    mov     x20, x0
    mov     x21, xzr                    // at EL2, as the firmware found the first CPU
    ldp     x24, x22, [x20, #{root}]    // tables; 1 with E2H
    ldr     x1, ={sctlr_el2_off}
    msr     sctlr_el2, x1
    ldr     x1, ={hcr_el2_boot}
    orr     x1, x1, x22, lsl #34
    msr     hcr_el2, x1
    isb
    ldp     x25, x26, [x20, #{stack}]   // stack; per-CPU block
    bl      mmu_on
    ldr     x1, =1f
    br      x1
1:  mov     sp, x25
    mov     x29, xzr
    mov     x30, xzr
    ldr     x2, =vectors
    msr     vbar_el2, x2
    msr     tpidr_el2, x26
    isb
    b       hypervisor_secondary
    .ltorg
    .popsection
