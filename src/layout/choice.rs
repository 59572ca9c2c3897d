//! What `--part` and a profile's `accepts` choose: partitions, and which member of an archive each gets.

#![forbid(unsafe_code)]

use std::fmt;

/// A partition, and the member that it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The partition, as it was typed.
    pub partition: String,
    /// The name of a member of an archive, or a glob that fits exactly one.
    pub member: Option<String>,
}

impl Choice {
    /// `NAME` or `NAME=MEMBER`. The first `=` counts; neither of the two may be empty.
    pub fn parse(text: &str) -> Option<Choice> {
        let (partition, member) = match text.split_once('=') {
            Some((partition, member)) => (partition, Some(member)),
            None => (text, None),
        };
        (!partition.is_empty() && member != Some("")).then(|| Choice {
            partition: partition.to_owned(),
            member: member.map(str::to_owned),
        })
    }
}

impl From<&str> for Choice {
    /// A partition, whatever goes there.
    fn from(partition: &str) -> Choice {
        Choice {
            partition: partition.to_owned(),
            member: None,
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.partition)?;
        match &self.member {
            Some(member) => write!(f, "={member}"),
            None => Ok(()),
        }
    }
}
