//! Hardware addresses.

#![forbid(unsafe_code)]

use crate::base::digits;
use std::fmt;
use std::str::FromStr;

/// The hardware address of an Ethernet interface.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl FromStr for Mac {
    type Err = ();
    fn from_str(text: &str) -> std::result::Result<Mac, ()> {
        let mut mac = [0; 6];
        let mut groups = text.split([':', '-']);
        for byte in &mut mac {
            let group = groups.next().filter(|group| group.len() == 2).ok_or(())?;
            *byte = digits::hexadecimal(group).ok_or(())? as u8;
        }
        match groups.next() {
            None => Ok(Mac(mac)),
            Some(_) => Err(()),
        }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
