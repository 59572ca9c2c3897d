//! Answers of a server that were changed at random: none of them panics, or is read longer than it is.

#![allow(clippy::unwrap_used)]

use super::document::{Base, Cancel, Deployment};
use super::server::Server;
use crate::base::json;
use crate::bytes::access::Access;
use std::time::Duration;

#[cfg(test)]
const BASE: &str = r#"{"config":{"polling":{"sleep":"00:05:00"}},"_links":{"deploymentBase":{"href":"http://s/T/controller/v1/b/deploymentBase/7?c=1"},"configData":{"href":"http://s/x"}}}"#;
#[cfg(test)]
const CANCEL: &str = r#"{"id":"7","cancelAction":{"stopId":"7"}}"#;
#[cfg(test)]
const DEPLOYMENT: &str = r#"{"id":"7","deployment":{"download":"forced","update":"forced","maintenanceWindow":"available","chunks":[{"part":"os","version":"1","name":"f","artifacts":[{"filename":"f.bin","hashes":{"sha1":"a","md5":"b","sha256":"c"},"size":11,"_links":{"download":{"href":"https://s/f"},"download-http":{"href":"http://s/f"}}}]}]}}"#;

/// An answer of any kind, and the file of `poll`.
pub(crate) fn look(text: &[u8]) {
    super::config::fuzz(&String::from_utf8_lossy(text));
    let server = Server::new("http://s/T", "b", Access::default()).unwrap();
    if let Ok(mut base) = json::parse::<Base>(text) {
        let _ = base.sleep();
        let _ = base.links();
    }
    let _ = json::parse::<Cancel>(text).map(|cancel| super::named(&cancel.id).is_ok());
    if let Ok(deployment) = json::parse::<Deployment>(text) {
        let artifacts = deployment.deployment.chunks.iter().flat_map(|chunk| &chunk.artifacts);
        for artifact in artifacts {
            let _ = server.download(&artifact.links, Duration::ZERO);
        }
    }
}

#[cfg(test)]
#[test]
fn no_answer_makes_it_panic() {
    assert!(json::parse::<Base>(BASE.as_bytes()).is_ok());
    assert!(json::parse::<Cancel>(CANCEL.as_bytes()).is_ok());
    assert!(json::parse::<Deployment>(DEPLOYMENT.as_bytes()).is_ok());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as usize % below
    };
    for text in [BASE, CANCEL, DEPLOYMENT] {
        for end in 0..text.len() {
            look(&text.as_bytes()[..end]);
        }
        for _ in 0..20_000 {
            let mut bytes = text.as_bytes().to_vec();
            for _ in 0..=random(4) {
                let at = random(bytes.len());
                match random(4) {
                    0 => bytes[at] ^= 1 << random(8),
                    1 => bytes[at] = b"{}[]\",:\\0-e"[random(11)],
                    2 => drop(bytes.remove(at)),
                    _ => bytes.extend_from_within(at..),
                }
                if bytes.is_empty() || bytes.len() > 1 << 16 {
                    break;
                }
            }
            look(&bytes);
        }
    }
    for open in ["[", "{\"_links\":", "{\"id\":[", "{\"deployment\":{\"chunks\":["] {
        look(open.repeat(10_000).as_bytes());
    }
}
