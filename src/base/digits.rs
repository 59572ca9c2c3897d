//! Numbers that consist of digits: what std reads may have a sign in front of them.

#![forbid(unsafe_code)]

pub use stages::decimal;

/// One of hexadecimal digits alone, without `0x`.
pub fn hexadecimal(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(text, 16).ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_is_no_digit() {
        assert_eq!(decimal("042"), Some(42));
        assert_eq!(hexadecimal("0fF"), Some(255));
        for text in ["", "+1", "-1", " 1", "1 ", "0x1", "1_0"] {
            assert_eq!(decimal::<u64>(text), None, "{text}");
            assert_eq!(hexadecimal(text), None, "{text}");
        }
        assert_eq!(decimal::<u8>("256"), None);
        assert_eq!(hexadecimal("10000000000000000"), None);
    }
}
