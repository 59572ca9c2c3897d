//! What a partition is for, in the words of a profile.

#![forbid(unsafe_code)]

use crate::base::format::Format;
use crate::base::machine::Role;
use crate::base::quoted::Quoted;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// A kind of content that a partition holds: what something is for (`kernel`, `ramdisk`, `filesystem`), a format by the word of
/// `inspect` (`squashfs`, `ubi`, `raw` for nothing that is known), or both (`uimage kernel`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purpose {
    format: Option<Format>,
    role: Option<Role>,
}

impl Purpose {
    /// Of these words; `None` for others.
    pub fn of_words(text: &str) -> Option<Purpose> {
        let mut purpose = Purpose {
            format: None,
            role: None,
        };
        for word in text.split_whitespace() {
            match (Role::from_word(word), Format::from_word(word)) {
                (Some(role), _) if purpose.role.is_none() => purpose.role = Some(role),
                (None, Some(format)) if purpose.format.is_none() => purpose.format = Some(format),
                _ => return None,
            }
        }
        (purpose.format.is_some() || purpose.role.is_some()).then_some(purpose)
    }

    /// Whether it is content of this format, and for this.
    pub fn takes(&self, format: Format, role: Role) -> bool {
        match (self.format, self.role) {
            // A ramdisk without a header around it: what a kernel takes.
            (None, Some(Role::Ramdisk)) => role == Role::Ramdisk && format != Format::Uimage,
            (None, wanted) => wanted == Some(role),
            (Some(wanted), None) => wanted == format,
            (Some(wanted), Some(wanted_role)) => wanted == format && wanted_role == role,
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = self.format.map(Format::as_str);
        let role = self.role.map(Role::as_str);
        let words: Vec<_> = format.into_iter().chain(role).collect();
        f.write_str(&words.join(" "))
    }
}

impl Serialize for Purpose {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Purpose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Purpose, D::Error> {
        let text = String::deserialize(deserializer)?;
        Purpose::of_words(&text).ok_or_else(|| {
            de::Error::custom(format_args!(
                "{} is neither kernel, ramdisk, filesystem nor a format, nor a format and one of these",
                Quoted(&text)
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn words_are_what_something_is_for_or_a_format_or_both() {
        let takes = |words: &str, format, role| Purpose::of_words(words).unwrap().takes(format, role);
        assert!(takes("kernel", Format::Fit, Role::Kernel));
        assert!(!takes("kernel", Format::Uimage, Role::Ramdisk));
        assert!(takes("uimage kernel", Format::Uimage, Role::Kernel));
        assert!(!takes("uimage kernel", Format::Fit, Role::Kernel));
        assert!(takes("ramdisk", Format::Ramdisk, Role::Ramdisk));
        assert!(takes("ramdisk", Format::Cpio, Role::Ramdisk));
        assert!(!takes("ramdisk", Format::Uimage, Role::Ramdisk));
        assert!(takes("filesystem", Format::Squashfs, Role::Filesystem));
        assert!(takes("ubi", Format::Ubi, Role::Filesystem));
        for words in ["", "kernels", "kernel ramdisk", "uimage fit"] {
            assert_eq!(Purpose::of_words(words), None, "{words}");
        }
        assert_eq!(Purpose::of_words("kernel uimage").unwrap().to_string(), "uimage kernel");
    }
}
