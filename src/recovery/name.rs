//! The file name that one box asks for, out of its boot loader's configuration.

#![forbid(unsafe_code)]

/// The variable of the environment.
pub const VARIABLE: &str = "bootp_vendor_class";

/// Every different value of `bootp_vendor_class` in the bytes, as `strings mtd4 | grep bootp_vendor_class` shows them.
/// The environment's checksum is not asked: its length differs between boot loaders, and `strings` does not ask either.
pub fn search(config: &[u8]) -> Vec<String> {
    let printable = |byte: &u8| (0x20..0x7f).contains(byte);
    let mut found = Vec::new();
    for string in config.split(|byte| !printable(byte)) {
        let Some(at) = find(string, VARIABLE.as_bytes()) else {
            continue;
        };
        let value: String = string[at + VARIABLE.len()..]
            .iter()
            .skip_while(|byte| b"= \"'".contains(byte))
            .take_while(|byte| byte.is_ascii_alphanumeric() || b"_-+.".contains(byte))
            .map(|byte| char::from(*byte))
            .collect();
        if !value.is_empty() && !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_found_as_strings_finds_it() {
        let mut config = vec![0xff; 0x40000];
        config[..4].copy_from_slice(&[1, 2, 3, 4]);
        let text = b"bootdelay=3\0bootp_vendor_class=F_TS-219P2+\0ethact=egiga0\0\0";
        config[4..4 + text.len()].copy_from_slice(text);
        assert_eq!(search(&config), ["F_TS-219P2+"]);
        assert_eq!(search(b"x=setenv bootp_vendor_class F_Q703;\0"), ["F_Q703"]);
        assert!(search(b"bootp_vendor_class=\0\xff").is_empty());
        assert!(search(&[0; 100]).is_empty());
    }
}
