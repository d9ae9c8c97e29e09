// The process's first instructions, and a thread's.

.section .text.start, "ax"
.global _start
_start:
    mov     x29, xzr
    mov     x30, xzr
    bl      {start}

// i64 linux_clone(u64 flags, u8 *stack, void (*run)(void *), void *argument):
// in the new thread run(argument) follows, and must not return.
.global linux_clone
linux_clone:
    mov     x5, x2
    mov     x6, x3
    mov     x2, xzr
    mov     x3, xzr
    mov     x4, xzr
    mov     x8, #220
    svc     #0
    cbnz    x0, 1f
    mov     x29, xzr
    mov     x30, xzr
    mov     x0, x6
    br      x5
1:  ret
