use super::*;

/// Writes a table as one line: keys and values without their places.
fn line(table: &Table) -> String {
    let entries = table.entries.iter();
    let parts: Vec<_> = entries
        .map(|(key, value)| format!("{}={}", key.value, text(&value.value)))
        .collect();
    format!("{{{}}}", parts.join(","))
}

fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::Other(kind, text) => format!("<{kind} {text}>"),
        Value::Table(table) => line(table),
        Value::Array(items) => {
            let parts: Vec<_> = items.iter().map(|item| text(&item.value)).collect();
            format!("[{}]", parts.join(","))
        }
    }
}

fn read(document: &str) -> String {
    match parse(document) {
        Ok(table) => line(&table),
        Err(Fault { at, what }) => format!("{at}: {what}"),
    }
}

#[test]
fn a_table_is_the_same_however_it_is_written() {
    for document in [
        "[a.b]\nc = 1\nd.e = true",
        "[a]\nb.c = 1\nb.d.e = true",
        "a.b = { c = 1, d.e = true }",
        "a = { b = { c = 1, d = { e = true } } }",
        "[a]\n[a.b] # both\n\"c\" = 1\n'd' . \"e\" = true\n",
    ] {
        assert_eq!(read(document), "{a={b={c=1,d={e=true}}}}", "{document}");
    }
}

#[test]
fn values_have_their_types() {
    assert_eq!(
        read("a = [1, 0x1_F, 0o17, 0b11, -1_000]"),
        "{a=[1,31,15,3,-1000]}"
    );
    assert_eq!(
        read("a = [[], [\"x\\ty\", 'z\\t'], {}]\nb = \"\"\"\none\n two\"\"\""),
        "{a=[[],[\"x\\ty\",\"z\\\\t\"],{}],b=\"one\\n two\"}"
    );
    assert_eq!(
        read("a = 1.5\nb = 1979-05-27\nc = 9223372036854775808\nd = inf"),
        "{a=<floating point 1.5>,b=<date 1979-05-27>,c=<large integer 9223372036854775808>,\
         d=<floating point inf>}"
    );
}

#[test]
fn headers_come_in_any_order() {
    assert_eq!(
        read("[a.b.c]\nx = 1\n[a]\ny = 2\n[a.b]\nz = 3\n[d]"),
        "{a={b={c={x=1},z=3},y=2},d={}}"
    );
}

#[test]
fn what_is_defined_stays_so() {
    for (document, at) in [
        ("a = 1\na = 2", 6),
        ("[a]\n[a]", 5),
        ("[a]\nb = 1\n[a.b]", 13),
        ("[a]\nb = 1\n[a.b.c]", 13),
        ("a.b = 1\n[a]", 9),
        ("a = {}\na.b = 1", 7),
        ("a = {}\n[a.b]", 8),
        ("[a.b]\n[a]\nb.c = 1", 10),
        ("a = { b = 1, b = 2 }", 13),
        ("a = 1\na.b = 2", 6),
    ] {
        assert_eq!(read(document), format!("{at}: duplicate key"), "{document}");
    }
}

#[test]
fn places_are_those_of_the_text() {
    let root = parse("x = 1\n[a]\n  key = [ true ]\n").unwrap();
    let [(x, one), (a, table)] = &root.entries[..] else {
        panic!("{root:?}")
    };
    assert_eq!((x.at, one.at, a.at, table.at), (0, 4, 7, 6));
    let Value::Table(table) = &table.value else {
        panic!("{table:?}")
    };
    let (key, array) = &table.entries[0];
    assert_eq!((key.at, array.at), (12, 18));
}

#[test]
fn broken_text_is_a_fault_and_never_a_panic() {
    for document in [
        "a",
        "a =",
        "a = [",
        "a = {",
        "= 1",
        "[",
        "[]",
        "[a",
        "[a]]",
        "[[a]]",
        "a = \"",
        "a = 01",
        "a = 1 b = 2",
        "a..b = 1",
        "a = \"\\q\"",
        "a = \u{7f}",
    ] {
        assert!(parse(document).is_err(), "{document}");
    }
    let deep = format!("a = {}{}", "[".repeat(200), "]".repeat(200));
    assert!(parse(&deep).is_err());
    let whole = "[vm.a]\nkernel = \"k\" # ü\npin = [1, { x.y = 0x1F }]\nb = \"\"\"ü\\u00fc\"\"\"\n";
    let marks = b"[]{}.=\"'#\n ,x1\\\xc3";
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20_000 {
        let mut bytes = whole.as_bytes().to_vec();
        for _ in 0..3 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let at = seed as usize % bytes.len();
            bytes[at] = marks[(seed >> 32) as usize % marks.len()];
        }
        // Only that it returns counts.
        let _ = core::str::from_utf8(&bytes).map(parse);
    }
}

/// Tables in tables are given back one in the other, on EL2's stack.
#[test]
fn keys_have_an_end() {
    let parts = |count| vec!["k"; count].join(".");
    assert!(read(&format!("{} = 1", parts(16))).starts_with("{k={k="));
    for count in [17, 100_000] {
        let long = format!("{} = 1", parts(count));
        assert_eq!(read(&long), "32: a key of too many parts");
        let long = format!("[{}]", parts(count));
        assert_eq!(read(&long), "33: a key of too many parts");
    }
}
