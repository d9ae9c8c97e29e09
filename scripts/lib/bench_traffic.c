/*
 * A QEMU plugin that counts by kind the instructions EL2 executes between a guest's `hint #0x60`
 * and `hint #0x61`. `hint #0x62` writes the fewest since the last one, as a line of numbers, to the
 * file named by out=: what happens but now and then, such as a slice's end, is in none of several.
 *
 * EL2 is what runs at addresses from 2^39 up: the guest that is counted maps nothing there.
 * QEMU's interface is declared by hand, because distributions ship no header of it.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
typedef struct {
    const char *target_name;
    struct { int min, cur; } version;
    _Bool system_emulation;
} qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
/* Up to version 2 it takes one argument and returns a pointer; then it copies. */
extern size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *, size_t);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, void (*)(unsigned, void *), int, void *);

__attribute__((visibility("default"))) int qemu_plugin_version = 2;

enum kind { OTHER, MRS, MSR, ISB, DSB, DMB, TLBI, ATOMIC, KINDS, START, STOP, WRITE };
static const uint64_t EL2_FROM = 1ull << 39;
static FILE *out;
static int api, counting;
static unsigned long counts[KINDS], fewest[KINDS], least = -1ul;

static enum kind kind_of(uint32_t w)
{
    if (w >> 20 == 0xd53) return MRS;
    if (w >> 20 == 0xd51) return MSR;
    if ((w & 0xfff8f01f) == 0xd500401f) return MSR;     /* of a PSTATE field */
    if ((w & 0xfffff0ff) == 0xd50330df) return ISB;
    if ((w & 0xfffff0ff) == 0xd503309f || (w & 0xfffff3ff) == 0xd503323f) return DSB;
    if ((w & 0xfffff0ff) == 0xd50330bf) return DMB;
    if ((w & 0xfff8e000) == 0xd5088000) return TLBI;    /* SYS with CRn 8 or 9 */
    if ((w & 0x3f800000) == 0x08000000) return ATOMIC;  /* exclusives, CAS pairs */
    if ((w & 0x3fa07c00) == 0x08a07c00) return ATOMIC;  /* CAS */
    if ((w & 0x3f200c00) == 0x38200000) return ATOMIC;  /* LSE */
    return OTHER;
}

static void executed(unsigned cpu, void *data)
{
    uintptr_t kind = (uintptr_t)data;
    (void)cpu;
    if (kind < KINDS) {
        counts[kind] += counting;
    } else if (kind == START) {
        memset(counts, 0, sizeof counts);
        counting = 1;
    } else if (kind == STOP) {
        unsigned long all = 0;
        counting = 0;
        for (int k = 0; k < KINDS; k++)
            all += counts[k];
        if (all < least) {
            least = all;
            memcpy(fewest, counts, sizeof fewest);
        }
    } else if (least != -1ul) {
        fprintf(out, "%lu", least);
        for (int k = MRS; k < KINDS; k++)
            fprintf(out, " %lu", fewest[k]);
        fputc('\n', out);
        fflush(out);
        least = -1;
    }
}

static uint32_t word_of(const struct qemu_plugin_insn *insn)
{
    uint32_t word = 0;
    if (api >= 3) {
        qemu_plugin_insn_data(insn, &word, sizeof word);
    } else {
        const void *(*data)(const struct qemu_plugin_insn *) = (const void *(*)(const struct qemu_plugin_insn *))qemu_plugin_insn_data;
        memcpy(&word, data(insn), sizeof word);
    }
    return word;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    size_t n = qemu_plugin_tb_n_insns(tb);
    (void)id;
    for (size_t i = 0; i < n; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint32_t word = word_of(insn);
        uintptr_t kind;
        if (qemu_plugin_insn_vaddr(insn) >= EL2_FROM)
            kind = kind_of(word);
        else if (word == 0xd5032c1f)
            kind = START;
        else if (word == 0xd5032c3f)
            kind = STOP;
        else if (word == 0xd5032c5f)
            kind = WRITE;
        else
            continue;
        qemu_plugin_register_vcpu_insn_exec_cb(insn, executed, 0, (void *)kind);
    }
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (strncmp(argv[i], "out=", 4) == 0)
            out = fopen(argv[i] + 4, "w");
    if (!out)
        return -1;
    api = info->version.cur;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
