// The first instructions: Image header, relocation, page table, MMU.

.section .text.head, "ax"
.global _start
_start:
    b       guest_entry
    .long   0
    .quad   0                           // text_offset
    .quad   guest_end - _start          // image_size
    .quad   0xa                         // little endian, 4 KiB pages, anywhere in RAM
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0

guest_entry:
    // What the boot protocol promises is looked at before anything changes it.
    mrs     x19, CurrentEL
    mrs     x20, DAIF
    mrs     x21, SCTLR_EL1
    mov     x22, x0
    mov     x23, x1
    mov     x24, x2
    mov     x25, x3
    msr     DAIFSet, #0xf
    msr     SPSel, #1

    // Linked at 0: every relative relocation is the load address plus its addend.
    adr     x0, _start
    adrp    x1, guest_rela_start
    add     x1, x1, :lo12:guest_rela_start
    adrp    x2, guest_rela_end
    add     x2, x2, :lo12:guest_rela_end
1:  cmp     x1, x2
    b.hs    2f
    ldp     x3, x4, [x1], #16
    ldr     x5, [x1], #8
    cmp     x4, #{relative}
    b.ne    1b
    add     x5, x5, x0
    str     x5, [x0, x3]
    b       1b

2:  adrp    x1, guest_bss_start
    adrp    x2, guest_bss_end
3:  stp     xzr, xzr, [x1], #16
    cmp     x1, x2
    b.lo    3b

    adrp    x1, {entry_state}
    add     x1, x1, :lo12:{entry_state}
    stp     x19, x20, [x1]
    stp     x21, x22, [x1, #16]
    stp     x23, x24, [x1, #32]
    str     x25, [x1, #48]

    // One table of 1 GiB blocks, all device memory; the second GiB by a table of
    // 2 MiB blocks, all normal memory until the end of RAM is known.
    adrp    x1, {level1}
    add     x1, x1, :lo12:{level1}
    ldr     x2, ={device_block}
    mov     x3, #512
    mov     x4, x1
    mov     x5, #0x40000000
4:  str     x2, [x4], #8
    add     x2, x2, x5
    subs    x3, x3, #1
    b.ne    4b
    adrp    x4, {level2}
    add     x4, x4, :lo12:{level2}
    orr     x5, x4, #3
    str     x5, [x1, #8]
    ldr     x2, ={ram_block}
    mov     x3, #512
5:  str     x2, [x4], #8
    add     x2, x2, #0x200000
    subs    x3, x3, #1
    b.ne    5b

    // All of this was written past the data cache: no stale line may hide it.
    mrs     x3, CTR_EL0
    ubfx    x3, x3, #16, #4
    mov     x4, #4
    lsl     x3, x4, x3
    adr     x4, _start
    adrp    x5, guest_bss_end
6:  dc      ivac, x4
    add     x4, x4, x3
    cmp     x4, x5
    b.lo    6b
    dsb     sy

    mov     x3, #{mair}
    msr     MAIR_EL1, x3
    ldr     x3, ={tcr}
    mrs     x4, ID_AA64MMFR0_EL1
    and     x4, x4, #0xf
    mov     x5, #5                      // at most 48 bits
    cmp     x4, x5
    csel    x4, x4, x5, lo
    orr     x3, x3, x4, lsl #32
    msr     TCR_EL1, x3
    msr     TTBR0_EL1, x1
    tlbi    vmalle1
    ic      iallu
    dsb     nsh
    isb
    ldr     x3, ={sctlr}
    msr     SCTLR_EL1, x3
    isb

    adrp    x3, {vectors}
    add     x3, x3, :lo12:{vectors}
    msr     VBAR_EL1, x3
    adrp    x3, {stack}
    add     x3, x3, :lo12:{stack}
    add     sp, x3, #{stack_size}
    mov     x29, xzr
    mov     x30, xzr
    isb
    b       guest_main
    .ltorg
