use alloc::string::ToString;

use super::*;

fn refusal(text: &str) -> String {
    match parse(text) {
        Err(refusal) => refusal.to_string(),
        Ok(vms) => vms[0].1.as_ref().unwrap_err().to_string(),
    }
}

#[test]
fn every_key_is_read() {
    let text = r#"
        [vm.linux-1]
        kernel = "Image"
        ramdisk = "initrd.gz"
        dtb = "my.dtb"
        bootargs = "console=ttyAMA0"
        cpus = 2
        memory = "512M"
        pin = [3, 1]
        load = "0x80000"
        aarch32 = true
        weight = 1024
        background = true
        on_reboot = "stop"
        on_crash = "restart"
    "#;
    let table = VmTable {
        kernel: "Image".into(),
        ramdisk: Some("initrd.gz".into()),
        dtb: Some("my.dtb".into()),
        bootargs: "console=ttyAMA0".into(),
        cpus: 2,
        memory: 512 << 20,
        pin: vec![3, 1],
        load: Some(0x8_0000),
        aarch32: true,
        weight: 1024,
        background: true,
        on_reboot: Reaction::Stop,
        on_crash: Reaction::Restart,
    };
    assert_eq!(parse(text).unwrap(), [("linux-1".into(), Ok(table))]);
}

#[test]
fn only_the_kernel_is_needed() {
    let table = VmTable {
        kernel: "k".into(),
        ramdisk: None,
        dtb: None,
        bootargs: String::new(),
        cpus: 1,
        memory: DEFAULT_MEMORY,
        pin: vec![],
        load: None,
        aarch32: false,
        weight: DEFAULT_WEIGHT,
        background: false,
        on_reboot: Reaction::Restart,
        on_crash: Reaction::Stop,
    };
    assert_eq!(
        parse("vm.a.kernel = \"k\"").unwrap(),
        [("a".into(), Ok(table))]
    );
}

#[test]
fn numbers_may_be_numbers() {
    let text = "[vm.a]\nkernel = \"k\"\nmemory = 0x1000000\nload = 0\n";
    let table = parse(text).unwrap().remove(0).1.unwrap();
    assert_eq!((table.memory, table.load), (16 << 20, Some(0)));
}

#[test]
fn the_order_of_the_file_is_kept() {
    let text = "[vm.z]\nkernel = \"k\"\n[vm.a]\nkernel = \"k\"\n[vm.m]\nkernel = \"k\"\n";
    let names: Vec<String> = parse(text)
        .unwrap()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["z", "a", "m"]);
}

/// Every message in full: they are what the person with the broken list works from.
#[test]
fn what_is_wrong_is_placed_and_named() {
    let cases = [
        ("", "vms.toml: no VMs: a [vm.NAME] table is needed"),
        ("[vm]\n", "vms.toml: no VMs: a [vm.NAME] table is needed"),
        (
            "[vm.a]\nkernel = \"k\"\n\n  kernal = 1\n",
            "vms.toml:4:3: vm.a: unknown field `kernal`, expected one of `kernel`, `ramdisk`, `dtb`, \
             `bootargs`, `cpus`, `memory`, `pin`, `load`, `aarch32`, `weight`, `background`, `on_reboot`, `on_crash`",
        ),
        (
            "[vm.a]\nkernel = \"k\"\nweight = 0\n",
            "vms.toml:3:10: vm.a: weight is 0, but a VM has 1 to 1024",
        ),
        (
            "[vm.a]\nkernel = \"k\"\non_crash = \"panic\"\n",
            "vms.toml:3:12: vm.a: unknown variant `panic`, expected `restart` or `stop`",
        ),
        (
            "color = 1\n",
            "vms.toml:1:1: unknown field `color`, expected `vm`",
        ),
        (
            "[vm.a]\ncpus = 1\n",
            "vms.toml:1:1: vm.a: missing field `kernel`",
        ),
        (
            "[vm.a]\nkernel = \"k\"\n[vm.a]\n",
            "vms.toml:3:5: duplicate key",
        ),
        (
            "[vm.a]\nkernel = \"k\"\nkernel = \"l\"\n",
            "vms.toml:3:1: duplicate key",
        ),
        (
            "[vm.a]\nkernel = k\n",
            "vms.toml:2:10: string values must be quoted, expected literal string",
        ),
        ("[vm.a\n", "vms.toml:1:6: unclosed table, expected `]`"),
        ("vm = 3\n", "vms.toml:1:6: expected tables [vm.NAME]"),
        (
            "[vm]\na = \"x\"\n",
            "vms.toml:2:5: vm.a: invalid type: string \"x\", expected a table [vm.NAME]",
        ),
        (
            "[vm.a]\nkernel = 1\n",
            "vms.toml:2:10: vm.a: invalid type: integer `1`, expected a string",
        ),
        (
            "[vm.a]\nkernel = \"\"\n",
            "vms.toml:2:10: vm.a: an empty file name",
        ),
        (
            "[vm.a]\nkernel = \"k\"\nbootargs = \"x\\u0000\"\n",
            "vms.toml:3:12: vm.a: a NUL in bootargs",
        ),
        (
            "[vm.A]\nkernel = \"k\"\n",
            "vms.toml:1:5: \"A\" is no name of a VM: 1 to 31 of a-z, 0-9, - and _",
        ),
        (
            "[vm.\"\"]\nkernel = \"k\"\n",
            "vms.toml:1:5: \"\" is no name of a VM: 1 to 31 of a-z, 0-9, - and _",
        ),
        (
            "[vm.a]\nkernel = \"k\"\ncpus = 0\n",
            "vms.toml:3:8: vm.a: cpus is 0, but a VM has 1 to 64",
        ),
        (
            "[vm.a]\nkernel = \"k\"\ncpus = 65\n",
            "vms.toml:3:8: vm.a: cpus is 65, but a VM has 1 to 64",
        ),
        (
            "[vm.a]\nkernel = \"k\"\ncpus = -1\n",
            "vms.toml:3:8: vm.a: invalid value: integer `-1`, expected u32",
        ),
        (
            "[vm.a]\nkernel = \"k\"\nmemory = \"8M\"\n",
            "vms.toml:3:10: vm.a: memory is 8388608 bytes, but a VM has at least 16M",
        ),
        (
            "[vm.a]\nkernel = \"k\"\nmemory = \"17M\"\n",
            "vms.toml:3:10: vm.a: memory is 17825792 bytes, no multiple of 2M",
        ),
        (
            "[vm.a]\nkernel = \"k\"\nmemory = \"lots\"\n",
            "vms.toml:3:10: vm.a: \"lots\" is not a size such as \"512M\"",
        ),
        (
            "[vm.a]\nkernel = \"k\"\nmemory = -5\n",
            "vms.toml:3:10: vm.a: -5 is not a size such as \"512M\"",
        ),
        (
            "[vm.a]\nkernel = \"k\"\nmemory = 1.5\n",
            "vms.toml:3:10: vm.a: invalid type: floating point `1.5`, expected a size such as \"512M\"",
        ),
        (
            "[vm.a]\nkernel = \"k\"\nload = \"here\"\n",
            "vms.toml:3:8: vm.a: \"here\" is not an offset such as \"0x80000\"",
        ),
        (
            "[vm.a]\nkernel = \"k\" # ü\ncpus = 2\npin = [1]\n",
            "vms.toml:4:7: vm.a: pin lists 1 physical CPUs for 2 virtual ones",
        ),
        (
            "[vm.a]\nbootargs = \"ü\", x\n",
            "vms.toml:2:15: unexpected key or value, expected newline, `#`",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(refusal(text), message, "for {text:?}");
    }
    let long = alloc::format!("[vm.{}]\nkernel = \"k\"\n", "a".repeat(32));
    assert!(refusal(&long).contains("is no name of a VM"));
    let fits = alloc::format!("[vm.{}]\nkernel = \"k\"\n", "a".repeat(31));
    assert!(parse(&fits).unwrap()[0].1.is_ok());
}

#[test]
fn what_is_wrong_with_one_vm_is_no_others_affair() {
    let text = "[vm.good]\nkernel = \"k\"\n[vm.bad]\nkernel = \"k\"\ncolor = 1\n\
        [vm.Worse]\nkernel = \"k\"\n[vm.fine]\nkernel = \"k\"\n";
    let found: Vec<(String, Option<String>)> = parse(text)
        .unwrap()
        .into_iter()
        .map(|(name, table)| (name, table.err().map(|refusal| refusal.to_string())))
        .collect();
    let [good, bad, worse, fine] = found.try_into().unwrap();
    assert_eq!((good, fine), (("good".into(), None), ("fine".into(), None)));
    assert!(
        bad.1
            .unwrap()
            .starts_with("vms.toml:5:1: vm.bad: unknown field `color`")
    );
    assert!(
        worse
            .1
            .unwrap()
            .starts_with("vms.toml:6:5: \"Worse\" is no name")
    );
}
