//! The strings of an environment: `NAME=VALUE`, a NUL behind each, one more behind the last.

#![forbid(unsafe_code)]

use crate::base::quoted::Quoted;
use serde::{Serialize, Serializer};

/// The variables, in the order in which they are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    entries: Vec<Vec<u8>>,
    /// What stands behind the end: U-Boot leaves 0, libubootenv 0xFF.
    fill: u8,
}

fn name_of(entry: &[u8]) -> &[u8] {
    entry.split(|byte| *byte == b'=').next().unwrap_or_default()
}

impl Variables {
    /// Reads the data of a copy, everything behind its header.
    ///
    /// # Errors
    /// Strings that do not end inside the data.
    pub fn parse(data: &[u8]) -> Result<Variables, &'static str> {
        let mut entries: Vec<Vec<u8>> = Vec::new();
        let mut rest = data;
        loop {
            let end = rest.iter().position(|byte| *byte == 0);
            let end = end.ok_or("its strings do not end with two NULs")?;
            let (entry, behind) = (&rest[..end], &rest[end + 1..]);
            if entry.is_empty() {
                let fill = if data.last() == Some(&0xff) { 0xff } else { 0 };
                return Ok(Variables { entries, fill });
            }
            entries.push(entry.to_vec());
            rest = behind;
        }
    }

    /// The value of a variable. Of several with the same name the boot loader takes the last (`himport_r`).
    pub fn get(&self, name: &str) -> Option<String> {
        let entry = self.entries.iter().rfind(|entry| name_of(entry) == name.as_bytes())?;
        let value = entry.get(name.len() + 1..).unwrap_or_default();
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// Every string as it is stored.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.entries
            .iter()
            .map(|entry| String::from_utf8_lossy(entry).into_owned())
    }

    /// Does `NAME=VALUE`; an empty value takes the variable away. The others keep their order.
    ///
    /// # Errors
    /// What is not an assignment, or one that the boot loader could not read back.
    pub fn assign(&mut self, assignment: &str) -> Result<(), String> {
        let (name, value) = assignment
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| format!("{} is not NAME=VALUE", Quoted(assignment)))?;
        if name.contains(|c: char| c.is_whitespace() || c.is_control()) || value.contains('\0') {
            return Err(format!("{} has characters that no variable has", Quoted(assignment)));
        }
        let same = |entry: &Vec<u8>| name_of(entry) == name.as_bytes();
        let at = self.entries.iter().position(same).unwrap_or(self.entries.len());
        self.entries.retain(|entry| !same(entry));
        if !value.is_empty() {
            self.entries.insert(at, assignment.as_bytes().to_vec());
        }
        Ok(())
    }

    /// The data of a copy, of so many bytes.
    ///
    /// # Errors
    /// How many bytes do not fit.
    pub fn data(&self, length: usize) -> Result<Vec<u8>, String> {
        let mut data = Vec::with_capacity(length);
        for entry in &self.entries {
            data.extend_from_slice(entry);
            data.push(0);
        }
        data.push(0);
        if self.entries.is_empty() {
            data.push(0);
        }
        if data.len() > length {
            return Err(format!(
                "the variables take {} bytes and the environment holds {length}",
                data.len()
            ));
        }
        data.resize(length, self.fill);
        Ok(data)
    }
}

/// An object with a string for each variable.
impl Serialize for Variables {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let last =
            |index: usize, entry: &Vec<u8>| !self.entries[index + 1..].iter().any(|e| name_of(e) == name_of(entry));
        serializer.collect_map(
            self.entries
                .iter()
                .enumerate()
                .filter(|(index, entry)| last(*index, entry))
                .map(|(_, entry)| {
                    let name = String::from_utf8_lossy(name_of(entry)).into_owned();
                    let value = entry.get(name_of(entry).len() + 1..).unwrap_or_default();
                    (name, String::from_utf8_lossy(value).into_owned())
                }),
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn order_and_fill_are_kept_and_what_is_set_is_found() {
        for fill in [0, 0xff] {
            let mut data = b"b=2\0a=1=x\0bare\0c=\0\0".to_vec();
            data.resize(32, fill);
            let mut variables = Variables::parse(&data).unwrap();
            assert_eq!(variables.data(32).unwrap(), data);
            assert_eq!(variables.get("a").as_deref(), Some("1=x"));
            assert_eq!(variables.get("bare").as_deref(), Some(""));
            assert_eq!(variables.get("d"), None);
            for assignment in ["a=3", "d=4", "b="] {
                variables.assign(assignment).unwrap();
            }
            assert_eq!(variables.lines().collect::<Vec<_>>(), ["a=3", "bare", "c=", "d=4"]);
            assert_eq!(variables.data(32).unwrap()[31], fill);
        }
    }

    #[test]
    fn what_the_boot_loader_could_not_read_back_is_refused() {
        let mut variables = Variables::parse(b"a=1\0\0").unwrap();
        for wrong in ["", "a", "=1", "a b=1", "a\n=1", "a=\0"] {
            assert!(variables.assign(wrong).is_err(), "{wrong:?}");
        }
        assert!(variables.data(4).is_err() && variables.data(5).is_ok());
        variables.assign("a=").unwrap();
        assert_eq!(variables.data(4).unwrap(), [0; 4]);
        for wrong in [&b""[..], b"a=1", b"a=1\0", b"\xff\xff\xff"] {
            assert!(Variables::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn of_two_with_one_name_the_last_counts() {
        let mut variables = Variables::parse(b"a=1\0b=2\0a=3\0\0").unwrap();
        assert_eq!(variables.get("a").as_deref(), Some("3"));
        assert_eq!(serde_json::to_string(&variables).unwrap(), r#"{"b":"2","a":"3"}"#);
        variables.assign("a=4").unwrap();
        assert_eq!(variables.lines().collect::<Vec<_>>(), ["a=4", "b=2"]);
    }
}
