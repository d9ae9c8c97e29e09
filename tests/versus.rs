//! What `scripts/bench --vs` starts other hypervisors from, and what it makes of their numbers.
//! That they run isn't tested here: it takes minutes.

mod support;

use std::process::{Command, Output, Stdio};

use fdt::Fdt;
use support::Scratch;

/// Runs lines of Python that know `scripts/lib`.
fn python(lines: &str) -> Output {
    let program = format!(
        "import sys; sys.path.insert(0, 'scripts/lib')\nimport bench_peers, bench_run, bench_versus\n{lines}"
    );
    let done = Command::new("python3")
        .args(["-c", &program])
        .current_dir(support::root())
        .stdin(Stdio::null())
        .output()
        .expect("python3 runs");
    assert!(done.status.success(), "{done:?}");
    done
}

/// Returns the device tree that an expression of Python gives the source of.
fn tree(source: &str) -> Vec<u8> {
    let print = "sys.stdout.buffer.write(bench_peers.compiled(";
    python(&format!("{print}{source}))")).stdout
}

fn reg(tree: &Fdt, path: &str) -> Vec<(usize, usize)> {
    let node = tree.find_node(path).expect(path);
    let range = |range: fdt::standard_nodes::MemoryRegion| {
        (range.starting_address as usize, range.size.unwrap_or(0))
    };
    node.reg().expect(path).map(range).collect()
}

fn word<'a>(tree: &'a Fdt, path: &str, name: &str) -> &'a str {
    let node = tree.find_node(path).expect(path);
    node.property(name).and_then(|it| it.as_str()).expect(name)
}

/// The addresses are those that `tests/peers` gives the VM's devices.
#[test]
fn kvm_guest_is_told_what_it_has() {
    for (gic, kind, second) in [
        (2, "arm,cortex-a15-gic", (0x0801_0000, 0x2000)),
        (3, "arm,gic-v3", (0x080a_0000, 0x4_0000)),
    ] {
        let blob = tree(&format!("bench_peers.kvm_tree({gic})"));
        let tree = Fdt::new(&blob).expect("a device tree");
        let controller = "/intc@8000000";
        assert_eq!(word(&tree, controller, "compatible"), kind);
        let parts = [(0x0800_0000, 0x1_0000), second];
        assert_eq!(reg(&tree, controller), parts);
        assert_eq!(reg(&tree, "/pl011@9000000"), [(0x0900_0000, 0x1000)]);
        let memory = reg(&tree, "/memory@40000000");
        assert_eq!(memory, [(0x4000_0000, 256 << 20)]);
        assert_eq!(word(&tree, "/psci", "method"), "hvc");
        assert_eq!(tree.cpus().count(), 2);
        assert_eq!(word(&tree, "/chosen", "bootargs"), "");
    }
    let blob = tree("bench_peers.kvm_tree(3, shared=True)");
    let tree = Fdt::new(&blob).expect("a device tree");
    assert_eq!(word(&tree, "/chosen", "bootargs"), "switch");
}

#[test]
fn xen_is_told_of_its_domain_on_the_board() {
    let board = "bench_peers._call(['dtc', '-q', '-I', 'dtb', '-O', 'dts',\
                 'tests/data/virt-gicv3-1cpu.dtb']).decode()";
    for (shared, wait, arguments) in [("False", "native", ""), ("True", "trap", "switch")] {
        let blob = tree(&format!("bench_peers.xen_tree({board}, 12345, {shared})"));
        let tree = Fdt::new(&blob).expect("a device tree");
        assert!(tree.find_node("/pl011@9000000").is_some(), "the board's");
        let xen = word(&tree, "/chosen", "xen,xen-bootargs");
        let words: Vec<&str> = xen.split(' ').collect();
        assert!(words.contains(&"sched=credit2"), "{xen}");
        assert!(words.contains(&format!("vwfi={wait}").as_str()), "{xen}");
        let domain = tree.find_node("/chosen/domU1").expect("a domain");
        let cells = |name| domain.property(name).expect(name).value;
        assert_eq!(cells("cpus"), [0, 0, 0, 2]);
        // 256 MiB, in KiB.
        assert_eq!(cells("memory"), [0, 0, 0, 0, 0, 4, 0, 0]);
        let module = "/chosen/domU1/module@60000000";
        assert_eq!(reg(&tree, module), [(0x6000_0000, 12345)]);
        assert_eq!(word(&tree, module, "bootargs"), arguments);
    }
}

#[test]
fn ratios_stand_beside_the_costs() {
    let done = python(
        r"
row = lambda cost: {'instructions': cost}
ours = {'rows': {'a': row(50.0), 'b': row(0.0), 'c': row(200.0), 'd': row(3.0)}}
xen = {'rows': {'a': row(471.0), 'b': row(0.0), 'c': row(100.0)}}
kvm = {'rows': {'a': row(1370.3), 'b': row(629.6), 'c': row(0.0)}}
print(bench_versus.text(ours, {'xen': xen, 'kvm': kvm}))
",
    );
    let table = String::from_utf8(done.stdout).expect("UTF-8");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(2)
        .map(|line| line.split_whitespace().collect())
        .collect();
    let expected = [
        "operation Entresol Xen KVM",
        "a 50 471 9.4x 1370.3 27.4x",
        "b 0 0 629.6",
        "c 200 100 0.50x 0",
        "d 3 - -",
    ];
    assert_eq!(rows, expected.map(|row| row.split(' ').collect::<Vec<_>>()));
}

/// Where a clock of the peer's interrupts the guest, the rows that prove the unit may show it.
#[test]
fn what_proves_the_unit_is_held_to() {
    python(
        r"
def log(nops, hertz=10**9):
    return (f'BOOT made 1 arrived 2\nBENCH check_empty 9 9 {hertz} 0.0\n'
            f'(XEN) DOM1: BENCH check_10nops 9 9 {hertz} {nops}\n'
            f'BENCH x 9 9 {hertz} 7.5\nBENCH y 9 9 {hertz} 7.5 UNDEF:9\n')
for text, noise in ((log('10.0'), 0.0), (log('10.5'), 0.5)):
    assert bench_run.rows_of(text, None, noise)[0] == {'x': {'instructions': 7.5}}
for text, noise in ((log('10.5'), 0.0), (log('11.0'), 0.5), (log('9.9'), 0.5), (log('10.0', 10**8), 0.0), ('', 0.0)):
    try:
        bench_run.rows_of(text, None, noise)
    except bench_run.Failure:
        continue
    raise SystemExit(f'{text} is taken')
",
    );
}

#[test]
fn a_guest_that_ends_early_is_told_of() {
    python(
        r"
try:
    bench_peers._output('xen', ['echo', 'no domain'])
except bench_peers.Failure as failure:
    assert 'no domain' in str(failure), failure
else:
    raise SystemExit('it did not end')
said = bench_peers._output('xen', ['sh', '-c', 'echo bench: done; exec sleep 60'])
assert said == 'bench: done\n', said
",
    );
}

#[test]
fn what_cannot_be_had_is_said_in_one_line() {
    let empty = Scratch::folder("cache");
    for (peer, remedy) in [
        ("xen", "once the archive can be reached"),
        ("kvm", "run scripts/setup"),
    ] {
        let done = Command::new(support::root().join("scripts/bench"))
            .args(["--vs", peer])
            .env("ENTRESOL_CACHE", empty.path())
            .env("ENTRESOL_DEBIAN_MIRROR", "http://127.0.0.1:9")
            .stdin(Stdio::null())
            .output()
            .expect("runs");
        assert_eq!(done.status.code(), Some(1), "{done:?}");
        // Before it may stand how long it takes.
        let said = String::from_utf8_lossy(&done.stderr);
        let line = said.lines().last().unwrap_or_default();
        assert!(line.starts_with("scripts/bench: "), "{said}");
        assert!(line.contains(remedy), "{said}");
    }
}
