//! Chains of OpenWrt's `ucert`: a key of the box signs another key for some time, and that one signs the image. They are libubox
//! blobs, one behind the other (`ucert.c` of openwrt/ucert, `blob.h` and `blobmsg.h` of openwrt/libubox).

#![forbid(unsafe_code)]

use super::Keyring;
use super::key::{Key, KeyId, REVOKED, SignatureFile, Wrong};
use crate::base::units::Fields;
use crate::bytes::store::Store;
use std::time::{SystemTime, UNIX_EPOCH};

/// More links than any chain has.
const LINKS: usize = 8;
/// Numbers of the two attributes of a link.
const SIGNATURE: u8 = 0;
const PAYLOAD: u8 = 1;
/// Types of values, which take the place of the numbers.
const TABLE: u8 = 2;
const STRING: u8 = 3;
const INT64: u8 = 4;
const INT32: u8 = 5;
/// `CERTTYPE_AUTH`: it says that a key may sign.
const AUTH: u64 = 1;

const DAMAGED: Wrong = "the chain of certificates is damaged";

/// A value of blobmsg, with its name.
struct Value<'a> {
    kind: u8,
    name: &'a [u8],
    data: &'a [u8],
}

/// Takes the first attribute off: its number, its bytes.
fn attribute<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let word = Fields(rest).be32(0)?;
    let length = (word & 0x00ff_ffff) as usize;
    let data = rest.get(4..length)?;
    // Each begins at a multiple of four; behind the last one that may be left out.
    *rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some(((word >> 24) as u8 & 0x7f, data))
}

fn attributes(mut rest: &[u8]) -> impl Iterator<Item = Option<(u8, &[u8])>> {
    std::iter::from_fn(move || match rest.is_empty() {
        true => None,
        false => {
            let next = attribute(&mut rest);
            if next.is_none() {
                rest = &[];
            }
            Some(next)
        }
    })
}

/// The named values of a table.
fn values(data: &[u8]) -> Option<Vec<Value<'_>>> {
    attributes(data)
        .map(|attribute| {
            let (kind, data) = attribute?;
            let length = usize::from(u16::from_be_bytes(data.get(..2)?.try_into().ok()?));
            let name = data.get(2..2 + length)?;
            // Length, name and its NUL, filled up.
            let data = data.get((2 + length + 1).next_multiple_of(4)..)?;
            Some(Value { kind, name, data })
        })
        .collect()
}

/// The value of that name and type, if there is just one of that name.
fn value<'a>(values: &[Value<'a>], name: &str, kind: u8) -> Option<&'a [u8]> {
    let mut named = values.iter().filter(|value| value.name == name.as_bytes());
    let value = named.next().filter(|value| value.kind == kind)?;
    named.next().is_none().then_some(value.data)
}

fn number(values: &[Value<'_>], name: &str, kind: u8) -> Option<u64> {
    let bytes = value(values, name, kind)?;
    let wanted = if kind == INT32 { 4 } else { 8 };
    (bytes.len() == wanted).then(|| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// The key that a payload lets sign now.
fn let_sign(payload: &[u8]) -> Result<Key, Wrong> {
    let outer = values(payload).ok_or(DAMAGED)?;
    let table = value(&outer, "ucert", TABLE).and_then(values).ok_or(DAMAGED)?;
    let number = |name, kind| number(&table, name, kind).ok_or(DAMAGED);
    if number("certtype", INT32)? != AUTH {
        return Err("a certificate of the chain is not one that lets a key sign");
    }
    let (from, to) = (number("validfrom", INT64)?, number("expiresat", INT64)?);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs());
    if !(from..to).contains(&now) {
        return Err("a certificate of the chain is not valid at the time that this box has");
    }
    let text = value(&table, "pubkey", STRING).and_then(|text| std::str::from_utf8(text).ok());
    text.and_then(|text| Key::parse(text.trim_end_matches('\0')))
        .ok_or(DAMAGED)
}

/// Verifies a chain over the first `end` bytes, which begins with a key of the box.
///
/// # Errors
/// What is wrong.
pub(super) fn verify(chain: &[u8], ring: &Keyring, store: &Store, end: u64) -> Result<KeyId, Wrong> {
    let mut allowed: Option<Key> = None;
    let mut links = attributes(chain.trim_ascii_end());
    for _ in 0..LINKS {
        let (_, link) = links
            .next()
            .ok_or("the chain of certificates does not end with a signature")?
            .ok_or(DAMAGED)?;
        let parts: Vec<(u8, &[u8])> = attributes(link).collect::<Option<_>>().ok_or(DAMAGED)?;
        let (text, payload) = match parts.as_slice() {
            [(SIGNATURE, text)] => (*text, None),
            [(SIGNATURE, text), (PAYLOAD, payload)] => (*text, Some(*payload)),
            _ => return Err(DAMAGED),
        };
        let text = std::str::from_utf8(text).map_err(|_| DAMAGED)?;
        let signature = SignatureFile::parse(text)?;
        let over = payload.map(|payload| Store::Memory(payload.to_vec()));
        let (store, end) = over.as_ref().map_or((store, end), |over| (over, over.len()));
        match &allowed {
            Some(_) if ring.is_revoked(signature.id()) => return Err(REVOKED),
            Some(key) => key.verify(&signature, store, end)?,
            None => ring.right(&signature, store, end)?,
        }
        match payload {
            Some(payload) => allowed = Some(let_sign(payload)?),
            None if links.next().is_some() => return Err("there is something else behind it"),
            None => return Ok(signature.id()),
        }
    }
    Err(DAMAGED)
}

/// The payload of a certificate, which is only read when it is signed.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let _ = let_sign(bytes);
    let _ = verify(bytes, &Keyring::default(), &Store::Memory(Vec::new()), 0);
}
