//! The hypervisor's command line, as UEFI's load options have it.

/// Returns the arguments in load options. The UEFI shell puts the program's own name before them.
pub fn of_options(options: &str) -> &str {
    let options = options.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    // What is not text is somebody's binary data.
    if options.chars().any(|c| c.is_control() || !c.is_ascii()) {
        return "";
    }
    let (first, rest) = options.split_once(' ').unwrap_or((options, ""));
    if first.to_ascii_lowercase().ends_with(".efi") {
        rest.trim_start()
    } else {
        options
    }
}

#[cfg(test)]
mod tests {
    use super::of_options;

    #[test]
    fn the_programs_name_is_left_out() {
        assert_eq!(of_options("vhe=on"), "vhe=on");
        assert_eq!(of_options(" BOOTAA64.EFI  vhe=on a \0"), "vhe=on a");
        assert_eq!(of_options("FS0:\\x\\boot.efi"), "");
        assert_eq!(of_options(""), "");
        assert_eq!(of_options("\u{1}\u{4e2d}"), "");
    }
}
