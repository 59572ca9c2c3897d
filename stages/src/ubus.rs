//! A client of ubus, OpenWrt's message bus, as far as procd has to be spoken to: look an object up, call a method.
//!
//! Shapes after `ubusmsg.h` of ubus and `blob.h`, `blobmsg.h` of libubox: a message is a header of 8 bytes – version, type, sequence
//! number, peer – and a blob; a blob is a word of id (7 bits) and length (24 bits, itself included), in network byte order, and its
//! content, padded to 4 bytes. The header's numbers are in network byte order since 2016-02 and in the machine's own before; the
//! server sends back the sequence number as it came and puts in the peer by itself, so that it need not be known here.
#![forbid(unsafe_code)]

use crate::sys;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Where the server listens, since 2020-10, and before.
const SOCKETS: [&str; 2] = ["/var/run/ubus/ubus.sock", "/var/run/ubus.sock"];
/// Bytes of an answer: ubus itself sends no more (`UBUS_MAX_MSGLEN`).
const LONGEST: usize = 1 << 20;
/// Messages that are passed over while an answer is waited for.
const MOST_MESSAGES: usize = 64;

/// Types of messages.
const STATUS: u8 = 1;
const DATA: u8 = 2;
const LOOKUP: u8 = 4;
const INVOKE: u8 = 5;

/// Attributes of messages.
const ATTR_STATUS: u8 = 1;
const ATTR_OBJPATH: u8 = 2;
const ATTR_OBJID: u8 = 3;
const ATTR_METHOD: u8 = 4;
const ATTR_DATA: u8 = 7;

/// Kinds of values (`enum blobmsg_type`).
const LIST: u8 = 1;
const TABLE: u8 = 2;
const TEXT: u8 = 3;

/// What a method is called with: JSON in another dress.
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    Text(&'a str),
    List(&'a [Value<'a>]),
    Table(Members<'a>),
}

/// What is in a table, each with its name.
pub(crate) type Members<'a> = &'a [(&'a str, Value<'a>)];

/// What came of a call.
#[derive(Debug)]
pub(crate) struct Answer {
    /// 0 is success; 2 an argument that is missing, 3 a method that is not served (`enum ubus_msg_status`).
    pub(crate) status: u32,
    /// The table that was sent along, as it came.
    data: Vec<u8>,
}

impl Answer {
    /// The text of this name that was sent along.
    pub(crate) fn text(&self, name: &str) -> Option<&[u8]> {
        attributes(&self.data).find_map(|(kind, content)| {
            let (key, value) = member(content)?;
            let is_it = kind & 0x7f == TEXT && key == name.as_bytes();
            is_it.then(|| value.strip_suffix(&[0]).unwrap_or(value))
        })
    }
}

/// A connection to the server. Every wait has a limit.
#[derive(Debug)]
pub(crate) struct Client {
    stream: UnixStream,
    sequence: u16,
}

impl Client {
    /// Connects to the running system's server.
    pub(crate) fn connect(limit: Duration) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for path in SOCKETS {
            match Self::connect_to(Path::new(path), limit) {
                Ok(client) => return Ok(client),
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    fn connect_to(path: &Path, limit: Duration) -> io::Result<Self> {
        let stream = sys::connect(path, limit)?;
        stream.set_read_timeout(Some(limit))?;
        Ok(Self { stream, sequence: 0 })
    }

    /// The number of an object; `None` where there is none of this name.
    pub(crate) fn lookup(&mut self, object: &str) -> io::Result<Option<u32>> {
        self.send(LOOKUP, 0, &attribute(ATTR_OBJPATH, &zero_ended(object)))?;
        let mut found = None;
        let status = self.until_status(|content| {
            found = found.or(attributes(content)
                .find(|(id, _)| *id == ATTR_OBJID)
                .and_then(|(_, number)| word(number)));
        })?;
        Ok(found.filter(|_| status == 0))
    }

    /// Calls a method and waits for its status.
    pub(crate) fn call(&mut self, object: u32, method: &str, arguments: Members<'_>) -> io::Result<Answer> {
        let mut content = attribute(ATTR_OBJID, &object.to_be_bytes());
        content.extend(attribute(ATTR_METHOD, &zero_ended(method)));
        content.extend(attribute(ATTR_DATA, &table(arguments)));
        self.send(INVOKE, object, &content)?;
        let mut data = Vec::new();
        let status = self.until_status(|content| {
            if let Some((_, content)) = attributes(content).find(|(id, _)| *id == ATTR_DATA) {
                data = content.to_vec();
            }
        })?;
        Ok(Answer { status, data })
    }

    fn send(&mut self, kind: u8, peer: u32, content: &[u8]) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut message = vec![0, kind];
        message.extend(self.sequence.to_be_bytes());
        message.extend(peer.to_be_bytes());
        message.extend(attribute(0, content));
        self.stream.write_all(&message)
    }

    /// Passes the content of each answer on until the status comes. What answers another call is passed over.
    fn until_status(&mut self, mut on_data: impl FnMut(&[u8])) -> io::Result<u32> {
        for _ in 0..MOST_MESSAGES {
            let mut head = [0; 12];
            self.stream.read_exact(&mut head)?;
            let [_, kind, high, low, ..] = head;
            let length = word(&head[8..]).unwrap_or(0) as usize & 0x00ff_ffff;
            if !(4..=LONGEST).contains(&length) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut content = vec![0; length - 4];
            self.stream.read_exact(&mut content)?;
            if [high, low] != self.sequence.to_be_bytes() {
                continue;
            }
            match kind {
                DATA => on_data(&content),
                STATUS => {
                    let status = attributes(&content).find(|(id, _)| *id == ATTR_STATUS);
                    return status
                        .and_then(|(_, number)| word(number))
                        .ok_or_else(|| io::ErrorKind::InvalidData.into());
                }
                _ => {}
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }
}

fn word(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.first_chunk()?))
}

fn zero_ended(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// The first word of a blob: bit 31 says that it has a name, then the id, then the length.
fn blob(named: bool, id: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() + 4) as u32;
    let head = u32::from(named) << 31 | u32::from(id) << 24 | length;
    let mut blob = head.to_be_bytes().to_vec();
    blob.extend_from_slice(content);
    pad(&mut blob);
    blob
}

fn attribute(id: u8, content: &[u8]) -> Vec<u8> {
    blob(false, id, content)
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn table(members: Members<'_>) -> Vec<u8> {
    members.iter().flat_map(|(name, value)| blobmsg(name, value)).collect()
}

/// A value with its name: two bytes of length, the name and a zero, padded, and then the value.
fn blobmsg(name: &str, value: &Value<'_>) -> Vec<u8> {
    let mut content = (name.len() as u16).to_be_bytes().to_vec();
    content.extend(zero_ended(name));
    pad(&mut content);
    let (kind, bytes) = match value {
        Value::Text(text) => (TEXT, zero_ended(text)),
        Value::List(list) => (LIST, list.iter().flat_map(|value| blobmsg("", value)).collect()),
        Value::Table(members) => (TABLE, table(members)),
    };
    content.extend(bytes);
    blob(true, kind, &content)
}

/// Name and value of such a one, out of its content.
fn member(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(u16::from_be_bytes(*content.first_chunk()?));
    let name = content.get(2..2 + length)?;
    Some((name, content.get((2 + length + 1).next_multiple_of(4)..)?))
}

/// The attributes in a container: id and content of each. It ends at the first that is damaged.
fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let head = word(rest)?;
        let length = (head & 0x00ff_ffff) as usize;
        let content = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(((head >> 24) as u8, content))
    })
}

/// Answers as a server would send them: the first byte says how they are cut, the rest are messages.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let Ok((ours, mut theirs)) = UnixStream::pair() else {
        return;
    };
    let mut client = Client {
        stream: ours,
        sequence: 0,
    };
    let _ = client.stream.set_read_timeout(Some(Duration::from_millis(50)));
    let _ = theirs.set_nonblocking(true);
    let _ = theirs.write(bytes);
    let _ = theirs.shutdown(std::net::Shutdown::Write);
    let _ = client.call(1, "sysupgrade", &[("path", Value::Text("/flasher"))]);
    let data = bytes.to_vec();
    let _ = Answer { status: 0, data }.text("flasher");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::thread;

    /// Serves one connection on a socket of its own, as slowly as the machine is.
    fn server(name: &str, serve: impl FnOnce(UnixStream) + Send + 'static) -> Client {
        server_within(Duration::from_secs(30), name, serve)
    }

    fn server_within(limit: Duration, name: &str, serve: impl FnOnce(UnixStream) + Send + 'static) -> Client {
        let dir = std::env::temp_dir().join(format!("ubus-{name}-{}", std::process::id()));
        let listener = UnixListener::bind(&dir).expect("bound");
        thread::spawn(move || serve(listener.accept().expect("a client").0));
        let client = Client::connect_to(&dir, limit).expect("connected");
        let _ = std::fs::remove_file(&dir);
        client
    }

    /// A message as a server of this byte order sends it; `sequence` as it came.
    fn message(big: bool, kind: u8, sequence: [u8; 2], content: &[u8]) -> Vec<u8> {
        let peer = 0x1234_5678_u32;
        let mut message = vec![0, kind, sequence[0], sequence[1]];
        message.extend(if big { peer.to_be_bytes() } else { peer.to_le_bytes() });
        message.extend(attribute(0, content));
        message
    }

    fn read_call(stream: &mut UnixStream) -> (u8, [u8; 2], Vec<u8>) {
        let mut head = [0; 12];
        stream.read_exact(&mut head).expect("a call");
        let mut content = vec![0; word(&head[8..]).expect("four") as usize - 4];
        stream.read_exact(&mut content).expect("the rest");
        (head[1], [head[2], head[3]], content)
    }

    fn status(number: u32) -> Vec<u8> {
        attribute(ATTR_STATUS, &number.to_be_bytes())
    }

    #[test]
    fn an_object_is_found_and_called_in_both_byte_orders() {
        for big in [true, false] {
            let mut client = server(if big { "big" } else { "little" }, move |mut stream| {
                // The greeting that a server begins with has no call.
                stream.write_all(&message(big, 0, [0, 0], &[])).expect("sent");
                let (kind, sequence, content) = read_call(&mut stream);
                assert_eq!(kind, LOOKUP);
                assert_eq!(attributes(&content).next(), Some((ATTR_OBJPATH, &b"system\0"[..])));
                let found = attribute(ATTR_OBJID, &77_u32.to_be_bytes());
                stream.write_all(&message(big, DATA, sequence, &found)).expect("sent");
                stream
                    .write_all(&message(big, STATUS, sequence, &status(0)))
                    .expect("sent");
                let (kind, sequence, content) = read_call(&mut stream);
                assert_eq!(kind, INVOKE);
                let sent: Vec<_> = attributes(&content).collect();
                assert_eq!(sent[0], (ATTR_OBJID, &77_u32.to_be_bytes()[..]));
                assert_eq!(sent[1], (ATTR_METHOD, &b"sysupgrade\0"[..]));
                let path = b"\x83\0\0\x15\0\x04path\0\0/flasher\0\0\0\0";
                let list = b"\x81\0\0\x24\0\x04list\0\0";
                let items = b"\x83\0\0\x0a\0\0\0\0a\0\0\0\x83\0\0\x0b\0\0\0\0bc\0\0";
                assert_eq!(sent[2], (ATTR_DATA, &[&path[..], list, items].concat()[..]));
                let members = [
                    ("flasher", Value::Table(&[])),
                    ("other", Value::Text("no")),
                    ("flasher", Value::Text("token")),
                ];
                let data = attribute(ATTR_DATA, &table(&members));
                stream.write_all(&message(big, DATA, sequence, &data)).expect("sent");
                stream
                    .write_all(&message(big, STATUS, sequence, &status(2)))
                    .expect("sent");
            });
            assert_eq!(client.lookup("system").expect("answered"), Some(77));
            let arguments = [
                ("path", Value::Text("/flasher")),
                ("list", Value::List(&[Value::Text("a"), Value::Text("bc")])),
            ];
            let answer = client.call(77, "sysupgrade", &arguments).expect("answered");
            assert_eq!(answer.status, 2);
            assert_eq!(answer.text("flasher"), Some(&b"token"[..]));
            assert_eq!(answer.text("path"), None);
        }
    }

    #[test]
    fn an_object_that_is_not_there_is_none() {
        let mut client = server("none", |mut stream| {
            let (_, sequence, _) = read_call(&mut stream);
            stream
                .write_all(&message(true, STATUS, sequence, &status(4)))
                .expect("sent");
        });
        assert_eq!(client.lookup("system").expect("answered"), None);
    }

    #[test]
    fn a_server_that_hangs_ends_in_an_error() {
        let (until, waits) = std::sync::mpsc::channel::<()>();
        let mut client = server_within(Duration::from_millis(300), "hung", move |stream| {
            let _ = waits.recv();
            drop(stream);
        });
        assert!(client.lookup("system").is_err());
        drop(until);
    }

    #[test]
    fn hostile_answers_are_errors_or_nothing() {
        // A length of nothing, of too much, of more than comes; an endless stream of other answers; a status without a number.
        let other = message(true, DATA, [9, 9], &[]);
        for (name, answer) in [
            ("short", vec![0, DATA, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3]),
            ("long", vec![0, DATA, 0, 1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff]),
            ("cut", vec![0, DATA, 0, 1, 0, 0, 0, 0, 0, 0, 0, 100, 1, 2]),
            ("others", other.repeat(100)),
            ("empty", message(true, STATUS, [0, 1], &[])),
        ] {
            let mut client = server(name, move |mut stream| {
                let _ = read_call(&mut stream);
                let _ = stream.write_all(&answer);
            });
            assert!(client.lookup("system").is_err(), "{name}");
        }
        // Attributes whose length is wrong, names longer than their place.
        for bytes in [&[0, 0, 0, 0][..], &[0, 0, 0, 9, 1], &[0x83, 0, 0, 7, 0xff, 0xff, 0]] {
            let (status, data) = (0, bytes.to_vec());
            assert_eq!(Answer { status, data }.text(""), None, "{bytes:?}");
        }
    }
}
