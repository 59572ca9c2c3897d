//! The server: where it is, which of its links are followed, and what is sent to it.
//!
//! Credentials go to one place, that which the configuration names. Links of the interface lead there or nowhere. A file may also
//! lie with somebody else, who is asked over TLS and gets no credentials; nothing leads from TLS to a connection without it.

#![forbid(unsafe_code)]

use super::document::{Base, Links};
use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::json;
use crate::base::quoted::Quoted;
use crate::bytes::access::Access;
use crate::bytes::url;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::time::{Duration, Instant};

/// How long a question and its answer may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server, and who we are to it.
#[derive(Clone)]
pub struct Server {
    /// `http://HOST` or `https://HOST`, in small letters.
    origin: String,
    /// The path of the box's resource.
    resource: String,
    /// Credentials.
    access: Access,
}

/// The server cannot be reached or makes no sense.
pub fn failed(what: impl Display) -> Failure {
    Failure::new(
        Exit::Unreachable,
        Code::Server,
        format_args!("the update server: {what}"),
    )
}

/// Whether this can be part of a path as it is: what a server calls an update, or a box.
pub fn is_plain(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:~".contains(&byte);
    (1..=64).contains(&id.len()) && id.bytes().all(plain) && id.bytes().any(|byte| byte != b'.')
}

/// Scheme and host in small letters, and the path.
fn split(url: &str) -> Option<(String, &str)> {
    let host = url.find("://")? + 3;
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |at| host + at);
    let (origin, path) = url.split_at(end);
    let origin = origin.to_ascii_lowercase();
    let known = ["http://", "https://"].iter().any(|scheme| {
        origin
            .strip_prefix(scheme)
            .is_some_and(|host| !host.is_empty() && !host.contains('@'))
    });
    known.then_some((origin, path))
}

impl Server {
    /// The server of this URL, which knows the box by this name.
    ///
    /// # Errors
    /// [`Exit::Usage`] for what is not a URL or no name.
    pub fn new(url: &str, id: &str, access: Access) -> Result<Server> {
        let (origin, tenant) = split(url).ok_or_else(|| {
            Failure::usage(format_args!(
                "{} is not a URL of a server: https://SERVER/TENANT",
                Quoted(url)
            ))
        })?;
        if !tenant.bytes().all(|byte| byte.is_ascii_graphic()) || tenant.contains(['?', '#']) {
            return Err(Failure::usage(format_args!("{} is not a URL of a server", Quoted(url))));
        }
        if !is_plain(id) {
            return Err(Failure::usage(format_args!(
                "{} is not a name for a box: letters, digits and - _ . : ~, at most 64 of them",
                Quoted(id)
            )));
        }
        let tenant = tenant.trim_end_matches('/');
        Ok(Server {
            origin,
            resource: format!("{tenant}/controller/v1/{id}"),
            access,
        })
    }

    /// Whether anybody on the way can read and change what is said.
    pub fn is_open(&self) -> bool {
        self.origin.starts_with("http://")
    }

    /// What there is for this box.
    ///
    /// # Errors
    /// As [`Server::get`].
    pub fn base(&self) -> Result<Base> {
        self.ask(&[&self.origin[..], &self.resource].concat())
    }

    /// What a link of the server leads to.
    ///
    /// # Errors
    /// A server that does not answer or makes no sense, or a link that leads elsewhere.
    pub fn get<T: DeserializeOwned>(&self, href: &str) -> Result<T> {
        self.ask(&self.own(href).ok_or_else(|| {
            failed(format_args!(
                "its link {} leads to somebody else, and is not followed",
                Quoted(href)
            ))
        })?)
    }

    fn ask<T: DeserializeOwned>(&self, url: &str) -> Result<T> {
        let text = self.exchange(url, None)?;
        json::parse(&text).map_err(|error| failed(format_args!("what it says makes no sense: {error}")))
    }

    /// Sends JSON to a path below the box's resource.
    ///
    /// # Errors
    /// A server that does not take it.
    pub fn send(&self, method: &str, path: &str, body: &str) -> Result<()> {
        let url = [&self.origin[..], &self.resource, path].concat();
        self.exchange(&url, Some((method, body))).map(|_| ())
    }

    fn exchange(&self, url: &str, sent: Option<(&str, &str)>) -> Result<Vec<u8>> {
        url::exchange(url, &self.until(PATIENCE), sent).map_err(failed)
    }

    /// The credentials, for as long as this.
    fn until(&self, patience: Duration) -> Access {
        Access {
            until: Some(Instant::now() + patience),
            ..self.access.clone()
        }
    }

    /// The URL of a link that leads to the server itself. Behind a proxy that speaks TLS for it a server says `http://` of itself.
    fn own(&self, href: &str) -> Option<String> {
        if href.starts_with('/') && !href.starts_with("//") {
            return Some([&self.origin, href].concat());
        }
        let (origin, path) = split(href)?;
        let host = |origin: &str| origin.split_once("://").map(|(_, host)| host.to_owned());
        let downgrade = self.is_open() && !origin.starts_with("http://");
        (host(&origin) == host(&self.origin) && !downgrade).then(|| [&self.origin, path].concat())
    }

    /// Where a file is downloaded from, and with which credentials: at the server itself, or over TLS from somebody else.
    ///
    /// # Errors
    /// No link that may be followed, as a phrase.
    pub fn download(&self, links: &Links, deadline: Duration) -> std::result::Result<(String, Access), String> {
        let both = [&links.download_http, &links.download];
        let links = both.into_iter().flatten().map(|link| link.href.as_str());
        if let Some(url) = links.clone().find_map(|href| self.own(href)) {
            return Ok((url, self.until(deadline)));
        }
        let strange = links
            .clone()
            .find(|href| split(href).is_some_and(|(origin, _)| origin.starts_with("https://")));
        match strange {
            Some(href) => Ok((
                href.to_owned(),
                Access {
                    authorization: None,
                    config: None,
                    ..self.until(deadline)
                },
            )),
            None => Err("it has no link to the server itself, nor one over https to another".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::bytes::access::Secret;
    use crate::poll::document::Link;

    fn server(url: &str) -> Server {
        let access = Access {
            authorization: Some(Secret("TargetToken abc".into())),
            config: Some("/etc/flasher/fetchrc".into()),
            ..Access::default()
        };
        Server::new(url, "box-1", access).unwrap()
    }

    #[test]
    fn links_lead_to_the_server_itself_or_nowhere() {
        let open = server("http://Server:8080/DEFAULT/");
        assert_eq!(open.resource, "/DEFAULT/controller/v1/box-1");
        for (href, leads) in [
            ("http://server:8080/x?c=1", Some("http://server:8080/x?c=1")),
            ("/x", Some("http://server:8080/x")),
            ("//elsewhere/x", None),
            ("http://server/x", None),
            ("http://server:8080@elsewhere/x", None),
            ("http://elsewhere/x", None),
            ("https://server:8080/x", None),
            ("file:///etc/shadow", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(open.own(href).as_deref(), leads, "{href}");
        }
        let tls = server("https://server/DEFAULT");
        for (href, leads) in [
            ("https://server/x", Some("https://server/x")),
            // What it says behind a proxy.
            ("http://server/x", Some("https://server/x")),
            ("http://elsewhere/x", None),
        ] {
            assert_eq!(tls.own(href).as_deref(), leads, "{href}");
        }
        for (url, id) in [
            ("server", "a"),
            ("ftp://server/", "a"),
            ("http://user:word@server/", "a"),
            ("http://server/a b", "a"),
            ("http://server/?x", "a"),
            ("http://server", "a/b"),
            ("http://server", ".."),
            ("http://server", ""),
        ] {
            assert!(Server::new(url, id, Access::default()).is_err(), "{url} {id}");
        }
    }

    #[test]
    fn a_file_comes_from_the_server_or_over_tls_and_nobody_else_gets_the_token() {
        let link = |href: &str| Some(Link { href: href.to_owned() });
        let of = |server: &Server, download: &str, plain: &str| {
            let links = Links {
                download: link(download),
                download_http: link(plain),
                ..Links::default()
            };
            let found = server.download(&links, PATIENCE).ok();
            found.map(|(url, access)| {
                assert_eq!(access.config.is_some(), access.authorization.is_some());
                (url, access.authorization.is_some())
            })
        };
        let found = |url: &str, token| Some((url.to_owned(), token));
        let open = server("http://server/T");
        assert_eq!(
            of(&open, "https://server/f", "http://server/f"),
            found("http://server/f", true)
        );
        assert_eq!(
            of(&open, "https://cdn/f", "http://cdn/f"),
            found("https://cdn/f", false)
        );
        assert_eq!(of(&open, "http://cdn/f", "ftp://cdn/f"), None);
        let tls = server("https://server/T");
        assert_eq!(
            of(&tls, "https://server/f", "http://server/f"),
            found("https://server/f", true)
        );
        assert_eq!(of(&tls, "https://cdn/f", "http://cdn/f"), found("https://cdn/f", false));
    }
}
