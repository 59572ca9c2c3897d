//! The file of `poll`: who the server is, who we are to it, and the token that proves it. Only root can have written it, and nobody
//! else can read it.

#![forbid(unsafe_code)]

use crate::base::error::{Failure, Result};
use crate::base::files;
use crate::base::lossless;
use crate::base::quoted::Quoted;
use crate::base::shell;
use crate::bytes::access::Secret;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where it is if nothing else is said.
pub const PLACE: &str = "etc/flasher/poll.conf";

/// What stands in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The server with its tenant.
    pub url: Option<String>,
    /// What the server calls this box.
    pub id: Option<String>,
    /// The value of the header that proves it.
    pub authorization: Option<Secret>,
    /// A glob for the artifact that is the image.
    pub artifact: Option<String>,
    /// The file for the program that fetches `https://`.
    pub fetch_config: Option<PathBuf>,
    /// What the server is told of the box besides.
    pub attributes: Vec<(String, String)>,
}

impl Config {
    /// Reads the file that was named, or that of the root if there is one.
    ///
    /// # Errors
    /// A file that others can read or write, or that makes no sense.
    pub fn read(named: Option<&Path>, root: &Path) -> Result<Config> {
        let path = named.map_or_else(|| root.join(PLACE), Path::to_owned);
        let private = || format!("chown root {0}; chmod 0600 {0}", shell::typed(&path));
        let unreadable = |error: std::io::Error| {
            files::unread(&error, format_args!("{}: {error}", path.display())).hint(match error.kind() {
                ErrorKind::PermissionDenied => private(),
                _ => "flasher poll --help has the lines of that file".to_owned(),
            })
        };
        let about = match stages::files::open(&path).and_then(|file| file.metadata()) {
            Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => return Ok(Config::default()),
            other => other.map_err(unreadable)?,
        };
        if about.mode() & 0o077 != 0 {
            let what = format_args!("{}: others can read it, and a token stands in it", path.display());
            return Err(Failure::usage(what).hint(private()));
        }
        let text = files::read_text(&path, files::TEXT).map_err(unreadable)?;
        parse(&text).map_err(|what| {
            Failure::usage(format_args!("{}: {what}", path.display()))
                .hint("mend that file; flasher poll --help has its lines")
        })
    }
}

/// Lines `NAME=VALUE`; those that begin with `#` say nothing. No value is told, for it may be the token.
fn parse(text: &str) -> std::result::Result<Config, String> {
    let mut config = Config::default();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = |what: &str| format!("line {}: {what}", index + 1);
        let (name, value) = line.split_once('=').ok_or_else(|| at("it is not a NAME=VALUE"))?;
        let (name, value) = (name.trim(), value.trim());
        // A token goes into a line of a header.
        if value.is_empty() || value.chars().any(char::is_control) {
            return Err(at("it has no value, or one with special characters"));
        }
        let twice = match name.strip_prefix("attribute.") {
            Some("") => return Err(at("an attribute has a name")),
            Some(attribute) => {
                let twice = config.attributes.iter().any(|(known, _)| known == attribute);
                config.attributes.push((attribute.to_owned(), value.to_owned()));
                twice
            }
            None => config
                .set(name, value)
                .ok_or_else(|| at(&format!("there is no setting {}", Quoted(name))))?,
        };
        if twice {
            return Err(at("it was said before"));
        }
    }
    Ok(config)
}

impl Config {
    /// Whether it was set before; `None` for what is not a setting.
    fn set(&mut self, name: &str, value: &str) -> Option<bool> {
        let token = |kind: &str| Some(Secret([kind, " ", value].concat()));
        Some(match name {
            "url" => self.url.replace(value.to_owned()).is_some(),
            "id" => self.id.replace(value.to_owned()).is_some(),
            "artifact" => self.artifact.replace(value.to_owned()).is_some(),
            "fetch-config" => self.fetch_config.replace(lossless::path(value)).is_some(),
            "target-token" => std::mem::replace(&mut self.authorization, token("TargetToken")).is_some(),
            "gateway-token" => std::mem::replace(&mut self.authorization, token("GatewayToken")).is_some(),
            _ => return None,
        })
    }
}

/// The lines of the file.
#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(text: &str) {
    let _ = parse(text);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_file_is_roots_alone_and_its_lines_are_told_without_their_values() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("poll.conf");
        let put = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            Config::read(Some(&path), dir.path())
        };
        let text = "# one\n\n url = https://server/T \nid=box-1\ntarget-token=abc=\nattribute.place=roof\n";
        let config = put(text, 0o600).unwrap();
        assert_eq!(config.url.as_deref(), Some("https://server/T"));
        assert_eq!(config.authorization, Some(Secret("TargetToken abc=".into())));
        assert_eq!(config.attributes, [("place".to_owned(), "roof".to_owned())]);
        assert!(!format!("{config:?}").contains("abc"), "{config:?}");
        assert!(put(text, 0o640).unwrap_err().to_string().contains("others can read it"));
        for odd in [
            "secret",
            "tokn=secret",
            "target-token=secret\ngateway-token=secret",
            "target-token=",
            "target-token=secret\u{7}",
            "attribute.=secret",
            "url=a\nurl=secret",
        ] {
            let failure = put(odd, 0o600).unwrap_err().to_string();
            assert!(!failure.contains("secret"), "{failure}");
        }
        assert!(Config::read(Some(&dir.path().join("none")), dir.path()).is_err());
        assert_eq!(Config::read(None, dir.path()).unwrap(), Config::default());
    }
}
