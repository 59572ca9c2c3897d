//! What a server of hawkBit's DDI says, as far as it is looked at (<https://www.eclipse.dev/hawkbit/apis/ddi_api/>).

#![forbid(unsafe_code)]

use crate::base::digits;
use crate::base::units::hex;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// A link.
#[derive(Deserialize)]
pub struct Link {
    /// Where it leads.
    pub href: String,
}

/// The links of a resource, or of an artifact.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Links {
    /// An update that is wanted.
    pub deployment_base: Option<Link>,
    /// The server wants to know what the box is.
    pub config_data: Option<Link>,
    /// An update that is not wanted any more.
    pub cancel_action: Option<Link>,
    /// An update that somebody has to agree to first.
    pub confirmation_base: Option<Link>,
    /// An artifact, over TLS.
    pub download: Option<Link>,
    /// The same without TLS.
    #[serde(rename = "download-http")]
    pub download_http: Option<Link>,
}

/// What there is for this box.
#[derive(Deserialize)]
pub struct Base {
    #[serde(default)]
    config: Option<Config>,
    #[serde(default, rename = "_links")]
    links: Option<Links>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    polling: Option<Polling>,
}

#[derive(Deserialize)]
struct Polling {
    #[serde(default)]
    sleep: Option<String>,
}

impl Base {
    /// The links.
    pub fn links(&mut self) -> Links {
        self.links.take().unwrap_or_default()
    }

    /// After which time the server wants to be asked again: `HH:MM:SS`.
    pub fn sleep(&self) -> Option<Duration> {
        let text = self.config.as_ref()?.polling.as_ref()?.sleep.as_ref()?;
        let mut numbers = text.split(':').map(digits::decimal::<u16>);
        let [hours, minutes, seconds] = [numbers.next()??, numbers.next()??, numbers.next()??].map(u64::from);
        numbers
            .next()
            .is_none()
            .then(|| Duration::from_secs(hours * 3600 + minutes * 60 + seconds))
    }
}

/// An update that is wanted.
#[derive(Deserialize)]
pub struct Deployment {
    /// What the server calls it.
    pub id: String,
    /// What is to be done.
    pub deployment: Work,
}

/// What is to be done, and whether now.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Work {
    /// `forced`, `attempt` or `skip`.
    pub update: String,
    /// `available` or `unavailable`, where there is one.
    #[serde(default)]
    pub maintenance_window: Option<String>,
    /// The software modules.
    #[serde(default)]
    pub chunks: Vec<Chunk>,
}

/// A software module.
#[derive(Deserialize)]
pub struct Chunk {
    /// Its files.
    #[serde(default)]
    pub artifacts: Vec<Artifact>,
}

/// A file.
#[derive(Deserialize)]
pub struct Artifact {
    /// Its name.
    pub filename: String,
    /// Its length, in bytes.
    pub size: u64,
    /// What it is held against.
    #[serde(default)]
    pub hashes: Hashes,
    /// Where it is.
    #[serde(default, rename = "_links")]
    pub links: Links,
}

impl Artifact {
    /// By what it is told from another file that is offered under the same name of an update: sixteen digits.
    pub fn mark(&self) -> String {
        let Hashes { sha256, sha1 } = &self.hashes;
        let said = format!("{:?} {} {sha256:?} {sha1:?}", self.filename, self.size);
        let mut mark = hex(&Sha256::digest(said.as_bytes()));
        mark.truncate(16);
        mark
    }
}

/// Checksums. Only SHA-256 proves what a file is: others with the same MD5 or SHA-1 can be made.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Hashes {
    /// SHA-256, in hexadecimal digits.
    pub sha256: Option<String>,
    /// SHA-1, for [`Artifact::mark`] alone.
    pub sha1: Option<String>,
}

/// An update that is not wanted any more.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cancel {
    /// What the server calls the wish.
    pub id: String,
    /// What it is about.
    pub cancel_action: Stop,
}

/// Which one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stop {
    /// What the server calls the update.
    pub stop_id: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::base::json;

    #[test]
    fn the_interval_is_read_or_there_is_none() {
        let sleep = |text: &str| {
            let text = format!(r#"{{"config":{{"polling":{{"sleep":{text}}}}},"_links":null}}"#);
            json::parse::<Base>(text.as_bytes()).map(|base| base.sleep())
        };
        let seconds = |number| Ok(Some(Duration::from_secs(number)));
        assert_eq!(sleep(r#""00:05:00""#), seconds(300));
        assert_eq!(sleep(r#""65535:65535:65535""#), seconds(65535 * 3661));
        for odd in [
            r#""""#,
            r#""5""#,
            r#""00:05:00:00""#,
            r#""-1:00:00""#,
            r#""+1:00:00""#,
            r#""65536:00:00""#,
            "null",
        ] {
            assert_eq!(sleep(odd), Ok(None), "{odd}");
        }
        assert!(sleep("5").is_err());
        assert!(json::parse::<Base>(b"{}").unwrap().links().download.is_none());
    }
}
