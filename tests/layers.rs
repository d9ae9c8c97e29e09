//! Holds the layers: a module uses its own layer and lower ones, never a higher
//! one. The sources are read as text, so this covers every configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The modules of each layer, lowest first.
const LAYERS: [&[&str]; 9] = [
    &["addr", "bits", "error"],
    &["isa"],
    &["cpu"],
    &["sync", "mmio", "mem", "log"],
    &["dev"],
    &["board"],
    &["vm"],
    &["sched", "config"],
    &["boot", "console", "debugger", "trace"],
];

#[test]
fn no_module_reaches_up() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&top, &mut files);
    assert!(files.len() > 5, "few sources below {}", top.display());
    let files: Vec<(&Path, String)> = files
        .iter()
        .map(|file| {
            let path = file.strip_prefix(&top).expect("was found below it");
            (path, std::fs::read_to_string(file).expect("can be read"))
        })
        .collect();
    let mut names = Names::default();
    for (path, text) in &files {
        names.add_macros(path, text);
    }
    let complaints: Vec<String> = files
        .iter()
        .flat_map(|(path, text)| check(path, text, &names))
        .collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Collects the Rust files below a folder, tests' own left out.
fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("can be listed").path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                sources(&path, into);
            }
        } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs") {
            into.push(path);
        }
    }
}

/// What stands at the crate's root: the modules, and macros that modules export.
#[derive(Default)]
struct Names {
    macros: BTreeMap<String, usize>,
}

impl Names {
    /// Gives the macros that a file exports the layer of the file.
    fn add_macros(&mut self, path: &Path, text: &str) {
        let Some(layer) = module_of(path).and_then(layer_of) else {
            return;
        };
        let code = without_comments_and_strings(text);
        for exported in code.split("#[macro_export]").skip(1) {
            if let Some((_, name)) = exported.split_once("macro_rules!") {
                let name = name.trim_start();
                let end = name.find(|c| !is_name_part(c)).unwrap_or(name.len());
                self.macros.insert(name[..end].to_owned(), layer);
            }
        }
    }

    fn layer_of(&self, name: &str) -> Option<usize> {
        layer_of(name).or_else(|| self.macros.get(name).copied())
    }
}

/// Returns the layer of a module.
fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Returns the top-level module that a file, given its path below `src`, is part of.
fn module_of(path: &Path) -> Option<&str> {
    path.iter()
        .next()?
        .to_str()
        .map(|name| name.trim_end_matches(".rs"))
}

/// Returns what is wrong with a file, given its path below `src`.
fn check(path: &Path, text: &str, names: &Names) -> Vec<String> {
    let own = module_of(path).expect("a path in UTF-8");
    // The roots name every module: they are what puts them together.
    if matches!(path.to_str(), Some("lib.rs" | "main.rs")) {
        return Vec::new();
    }
    let Some(layer) = layer_of(own) else {
        return vec![format!(
            "src/{}: the module `{own}` has no layer: add it to LAYERS in tests/layers.rs and to the table in src/lib.rs",
            path.display()
        )];
    };
    let code = without_tests(&without_comments_and_strings(text));
    let mut complaints = Vec::new();
    for (line, used) in uses(&code, path.iter().count()) {
        let what = match names.layer_of(&used) {
            Some(other) if other <= layer => continue,
            Some(other) => format!(
                "`{own}` (layer {layer}) uses `{used}` (layer {other}): hand it in from above, or return a value that says what is wanted"
            ),
            None => format!(
                "`crate::{used}` is of no known layer: name the module it is defined in, or add it to LAYERS in tests/layers.rs"
            ),
        };
        complaints.push(format!("src/{}:{line}: {what}", path.display()));
    }
    complaints
}

/// Returns the top-level modules that code names, with their lines.
///
/// They follow `crate::`, alone or in braces, or as many `super::` as the
/// file is deep.
fn uses(code: &str, depth: usize) -> Vec<(usize, String)> {
    let climb = "super::".repeat(depth);
    let mut found = Vec::new();
    for (prefix, root_only) in [("crate::", false), (climb.as_str(), true)] {
        for (at, _) in code.match_indices(prefix) {
            if code[..at].ends_with(is_name_part) || code[..at].ends_with("super::") {
                continue;
            }
            let line = 1 + code[..at].matches('\n').count();
            for name in heads(&code[at + prefix.len()..]) {
                // From an inner module so many `super::` may stay below the root.
                if !root_only || layer_of(&name).is_some() {
                    found.push((line, name));
                }
            }
        }
    }
    found
}

/// Returns the first names of a path, or of each path in a group.
fn heads(code: &str) -> Vec<String> {
    let code = code.trim_start();
    let Some(group) = code.strip_prefix('{') else {
        let end = code.find(|c| !is_name_part(c)).unwrap_or(code.len());
        let name = &code[..end];
        return if matches!(name, "" | "super" | "self") {
            Vec::new()
        } else {
            vec![name.to_owned()]
        };
    };
    let mut names = Vec::new();
    let mut depth = 0;
    let mut start = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' | ',' if depth == 0 => {
                names.extend(heads(&group[start..at]));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names
}

fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Returns the code with comments and the insides of literals blanked.
fn without_comments_and_strings(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if c == '"' {
            quoted(rest, '"')
        } else if c == 'r' && !code.ends_with(is_name_part) || rest.starts_with("br") {
            raw_string(rest)
        } else if c == '\'' {
            character(rest)
        } else {
            0
        };
        if skipped == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            // A blank keeps the words on both sides apart, newlines keep count.
            code.push(' ');
            code.extend(rest[..skipped].chars().filter(|&c| c == '\n'));
            rest = &rest[skipped..];
        }
    }
    code
}

/// Returns the length of the comment, which may hold others, at the start.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Returns the length of the literal in `quote`s at the start.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Returns the length of the raw string at the start, 0 if there is none.
fn raw_string(text: &str) -> usize {
    let open = text.trim_start_matches('b');
    let Some(hashes) = open.strip_prefix('r') else {
        return 0;
    };
    let count = hashes.len() - hashes.trim_start_matches('#').len();
    if !hashes[count..].starts_with('"') {
        return 0;
    }
    let begin = text.len() - hashes.len() + count + 1;
    let close = format!("\"{}", "#".repeat(count));
    text[begin..]
        .find(&close)
        .map_or(text.len(), |at| begin + at + close.len())
}

/// Returns the length of the character literal at the start, 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut inside = text[1..].chars();
    match (inside.next(), inside.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => quoted(text, '\''),
        _ => 0,
    }
}

/// Returns the code with items that only tests see blanked.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut rest = code;
    while let Some(at) = ["#[cfg(test)]", "#[cfg(all(test"]
        .iter()
        .filter_map(|gate| rest.find(gate))
        .min()
    {
        kept.push_str(&rest[..at]);
        let length = item(&rest[at..]);
        kept.extend(rest[at..at + length].chars().filter(|&c| c == '\n'));
        rest = &rest[at + length..];
    }
    kept + rest
}

/// Returns the length of the item at the start, attributes included: it ends at
/// a semicolon, or with its first braces, outside of brackets.
fn item(code: &str) -> usize {
    let mut brackets = 0;
    let mut braces = 0;
    let mut before = ' ';
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' | '<' => brackets += 1,
            '>' if matches!(before, '-' | '=') => {}
            ')' | ']' | '>' => brackets -= 1,
            '{' => braces += 1,
            '}' if braces <= 1 => return at + 1,
            '}' => braces -= 1,
            ';' | ',' if brackets == 0 && braces == 0 => return at + 1,
            _ => {}
        }
        before = c;
    }
    code.len()
}

#[cfg(test)]
mod planted {
    use super::Names;
    use std::path::Path;

    /// Checks a file beside others that export one macro of layer 0 and one of layer 6.
    fn check(path: &str, text: &str) -> Vec<String> {
        let mut names = Names::default();
        names.add_macros(
            Path::new("error.rs"),
            "#[macro_export]\nmacro_rules! refuse { () => {} }",
        );
        names.add_macros(
            Path::new("vm/exit.rs"),
            "#[macro_export]\n/// Exits.\nmacro_rules! exit { () => {} }",
        );
        super::check(Path::new(path), text, &names)
    }

    fn complaints(path: &str, text: &str) -> usize {
        check(path, text).len()
    }

    #[test]
    fn a_use_of_a_higher_layer_is_found() {
        let found = check(
            "mem/table.rs",
            "use crate::addr::Pa;\nuse crate::vm::Vcpu;\n",
        );
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with("src/mem/table.rs:2: `mem` (layer 3) uses `vm` (layer 6)"),
            "{}",
            found[0]
        );
    }

    #[test]
    fn every_way_to_name_it_is_found() {
        for text in [
            "use crate::{addr::{Pa, Va}, vm};",
            "use crate::{\n    bits,\n    vm::{self, Vcpu},\n};",
            "fn f() { crate::vm::start() }",
            "pub(in crate::vm) fn f() {}",
            "use super::super::vm;",
            "use crate::{addr, exit};",
            "fn f() { crate::exit!() }",
            "macro_rules! m { () => { $crate::vm::f() } }",
            "fn f<'a>(x: &'a u8) -> crate::boot::X<'a> {}",
            "const C: char = '\"'; use crate::vm; // \"",
            "const S: &str = r#\"a\"#; use crate::vm;",
            "#[cfg(test)]\nmod tests { fn f() {} }\nuse crate::vm;",
            "#[cfg(test)]\nuse crate::boot;\nuse crate::vm;",
        ] {
            assert_eq!(complaints("mem/table.rs", text), 1, "{text}");
        }
    }

    #[test]
    fn what_is_allowed_is_left_alone() {
        for text in [
            "use crate::mem::frames; use crate::log; use crate::cpu::regs;",
            "//! See [`crate::vm`].\n/* crate::vm /* crate::vm */ crate::boot */",
            "const S: &str = \"crate::vm\\\"crate::vm\";",
            "const S: &str = r#\"crate::vm \"crate::vm\"#;",
            "#[cfg(test)]\nmod tests { use crate::vm; mod x { use crate::boot; } }",
            "#[cfg(test)]\n#[allow(unused)]\nuse crate::{vm, boot};\nuse crate::addr;",
            "#[cfg(test)]\nfn f(x: u8) -> Result<A, B> { crate::vm::g() }",
            "struct S {\n#[cfg(test)] a: crate::vm::X<u8, u8>, b: u8 }",
            "use crate::refuse; fn f() { crate::refuse!(\"x\"); $crate::addr::f(); }",
            "use super::super::addr; use super::vm; use mycrate::vm;",
        ] {
            assert_eq!(complaints("mem/table.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn unknown_modules_are_told_what_to_do() {
        let found = check("utils.rs", "");
        assert!(found[0].contains("add it to LAYERS"), "{}", found[0]);
        let found = check("vm/bus.rs", "use crate::utils::f;");
        assert!(found[0].contains("no known layer"), "{}", found[0]);
    }

    #[test]
    fn the_roots_may_name_everything() {
        assert_eq!(complaints("lib.rs", "use crate::boot;"), 0);
        assert_eq!(complaints("vm.rs", "use crate::boot;"), 1);
    }
}
