// The first instructions: from where a boot loader jumps, MMU off, to Rust at
// the fixed virtual address, MMU and caches on.
//
// In: x0 = device tree, physical. Everything here is position independent until
// the jump. Registers kept: x19 = load address, x20 = device tree, x21 = 1 when
// at EL1 (a refusal follows), x22 = 1 in a translation regime with two ranges
// (EL1, or EL2 with E2H), whose descriptors and TCR differ, x24 = page table.

    .pushsection .head, "ax"
    .global _head
_head:
    b       primary                     // code0, a branch over the header
    .long   0
    .quad   0                           // text_offset
    .quad   __image_size               // bss, stacks and tables included
    .quad   0xa                         // little-endian, 4 KiB pages, anywhere
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0

primary:
    msr     daifset, #0xf
    mov     x20, x0
    adrp    x19, __image_start
    mrs     x1, CurrentEL
    cmp     x1, #(2 << 2)
    cset    x21, ne
    mov     x22, x21
    cbnz    x21, 1f

    // EL2: MMU off, little-endian; E2H off where it can be. Where it is RES1 the
    // two-range layout is used: ID_AA64MMFR4_EL1.E2H0 is negative there, or, on
    // older CPUs, the bit reads as one whatever is written.
    mov_q   x1, {sctlr_el2_off}
    msr     sctlr_el2, x1
    isb
    mov_q   x1, {hcr_el2_boot}
    mrs     x2, S3_0_C0_C7_4
    tbz     x2, #27, 9f
    orr     x1, x1, #(1 << 34)
9:  msr     hcr_el2, x1
    isb
    mrs     x1, hcr_el2
    ubfx    x22, x1, #34, #1
1:
    adrp    x24, __boot_tables_start
    adrp    x2, __boot_tables_end
    mov     x1, x24
2:  stp     xzr, xzr, [x1], #16
    cmp     x1, x2
    b.lo    2b

    // Attributes of leaf descriptors by regime.
    mov_q   x10, {text}
    mov_q   x11, {rodata}
    mov_q   x12, {data}
    mov_q   x1, {text_two_ranges}
    mov_q   x2, {rodata_two_ranges}
    mov_q   x3, {data_two_ranges}
    cmp     x22, #0
    csel    x10, x10, x1, eq
    csel    x11, x11, x2, eq
    csel    x12, x12, x3, eq

    // Seven tables: level 0; levels 1, 2, 3 and 3 of the image; levels 1, 2 of the identity map.
    add     x1, x24, #0x1000
    orr     x2, x1, #3
    str     x2, [x24, #(511 * 8)]
    add     x3, x24, #0x2000
    orr     x2, x3, #3
    str     x2, [x1]
    add     x4, x24, #0x3000            // side by side: as one table of 4 MiB below
    orr     x2, x4, #3
    str     x2, [x3]
    add     x2, x2, #0x1000
    str     x2, [x3, #8]

    .macro  map_pages from, to, attributes
    adrp    x1, \from
    adrp    x2, \to
    sub     x3, x1, x19
    add     x3, x4, x3, lsr #9          // its place in the level 3 tables
3:  cmp     x1, x2
    b.hs    4f
    orr     x5, x1, \attributes
    str     x5, [x3], #8
    add     x1, x1, #0x1000
    b       3b
4:
    .endm
    map_pages __image_start, __text_end, x10
    map_pages __text_end, __rodata_end, x11
    map_pages __rodata_end, __data_end, x12
    map_pages __emergency_stack_bottom, __emergency_stack_top, x12
    map_pages __boot_stack_bottom, __boot_stack_top, x12
    map_pages __first_heap_start, __first_heap_end, x12
    map_pages __boot_tables_start, __boot_tables_end, x12

    // The identity map: the image's first 2 MiB, executable, until Rust drops it.
    add     x1, x24, #0x5000
    add     x3, x24, #0x6000
    ubfx    x2, x19, #39, #9
    orr     x5, x1, #3
    str     x5, [x24, x2, lsl #3]
    ubfx    x2, x19, #30, #9
    orr     x5, x3, #3
    str     x5, [x1, x2, lsl #3]
    ubfx    x2, x19, #21, #9
    and     x5, x19, #~0x1fffff
    bic     x10, x10, #2                // a block, not a page
    orr     x5, x5, x10
    str     x5, [x3, x2, lsl #3]

    // Tables were written past the caches: drop what stale lines hold of them.
    dmb     sy
    mrs     x1, ctr_el0
    ubfx    x1, x1, #16, #4
    mov     x2, #4
    lsl     x2, x2, x1
    mov     x1, x24
    adrp    x3, __boot_tables_end
5:  dc      ivac, x1
    add     x1, x1, x2
    cmp     x1, x3
    b.lo    5b

    bl      mmu_on

    // On the fixed address from here.
    ldr     x1, =6f
    br      x1
6:  ldr     x1, =__bss_start
    ldr     x2, =__bss_end
7:  stp     xzr, xzr, [x1], #16
    cmp     x1, x2
    b.lo    7b
    ldr     x1, =__boot_stack_top
    mov     sp, x1
    mov     x29, xzr
    mov     x30, xzr
    mov     x0, x20
    mov     x1, x19
    cbnz    x21, 8f
    ldr     x2, =vectors
    msr     vbar_el2, x2
    ldr     x2, ={boot_local}
    msr     tpidr_el2, x2
    isb
    b       hypervisor_main
8:  b       hypervisor_at_el1

// Turns the MMU and the caches on. x22 = regime, x21 = EL1, x24 = tables.
// Returns to the identity-mapped address. Clobbers x1-x6.
    .global mmu_on
mmu_on:
    mov_q   x1, {mair}
    mov_q   x2, {tcr}
    mrs     x3, id_aa64mmfr0_el1
    and     x3, x3, #0xf
    mov     x4, #5                      // at most 48 bits: beyond needs FEAT_LPA2 tables
    cmp     x3, x4
    csel    x3, x3, x4, ls
    lsl     x4, x3, #16                 // TCR_EL2.PS
    lsl     x5, x3, #32                 // TCR_EL1.IPS, and TCR_EL2.IPS with E2H
    mov_q   x6, {tcr_two_ranges}
    cmp     x22, #0
    csel    x4, x4, x5, eq
    csel    x2, x2, x6, eq
    orr     x2, x2, x4
    cbnz    x21, 1f
    msr     mair_el2, x1
    msr     tcr_el2, x2
    msr     ttbr0_el2, x24
    isb
    tlbi    alle2
    ic      iallu
    dsb     nsh
    isb
    mov_q   x1, {sctlr_el2_on}
    msr     sctlr_el2, x1
    isb
    ret
1:  msr     mair_el1, x1
    msr     tcr_el1, x2
    msr     ttbr0_el1, x24
    isb
    tlbi    vmalle1
    ic      iallu
    dsb     nsh
    isb
    mov_q   x1, {sctlr_el1_on}
    msr     sctlr_el1, x1
    isb
    ret
    .ltorg
    .popsection
