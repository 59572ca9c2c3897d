#![allow(clippy::unwrap_used)]
use super::key::{Key, SignatureFile};
use super::*;
use base64ct::{Base64, Encoding};
use blake2::{Blake2b512, Digest};
use ed25519_compact::KeyPair;
use std::time::{SystemTime, UNIX_EPOCH};

const ID: &[u8] = b"12345678";

struct Signer {
    pair: KeyPair,
    id: Vec<u8>,
}

impl Signer {
    fn new(seed: u8) -> Signer {
        Signer {
            pair: KeyPair::from_seed([seed; 32].into()),
            id: [&[seed], &ID[1..]].concat(),
        }
    }

    fn file(&self, comment: &str, algorithm: &[u8], bytes: &[u8]) -> String {
        let all = [algorithm, &self.id, bytes].concat();
        format!("untrusted comment: {comment}\n{}\n", Base64::encode_string(&all))
    }

    fn public(&self, comment: &str) -> String {
        self.file(comment, b"Ed", self.pair.pk.as_ref())
    }

    /// As signify and usign do it.
    fn plain(&self, message: &[u8]) -> String {
        self.file("signed", b"Ed", self.pair.sk.sign(message, None).as_ref())
    }

    /// As minisign does it.
    fn minisign(&self, message: &[u8], comment: &str) -> String {
        let signature = self.pair.sk.sign(Blake2b512::digest(message), None);
        let global = self
            .pair
            .sk
            .sign([signature.as_ref(), comment.as_bytes()].concat(), None);
        format!(
            "{}trusted comment: {comment}\n{}\n",
            self.file("signed", b"ED", signature.as_ref()),
            Base64::encode_string(global.as_ref())
        )
    }
}

fn ring(texts: &[String]) -> Keyring {
    let dir = tempfile::tempdir().unwrap();
    for (index, text) in texts.iter().enumerate() {
        std::fs::write(dir.path().join(format!("{index}.pub")), text).unwrap();
    }
    Keyring::of(&[dir.path().to_owned()]).unwrap()
}

fn check(ring: &Keyring, text: &str, image: &[u8]) -> std::result::Result<Signed, Wrong> {
    ring.check(
        "the signature behind the image",
        text,
        &Store::Memory(image.to_vec()),
        None,
    )
}

#[test]
fn every_form_verifies_and_any_changed_bit_does_not() {
    let signer = Signer::new(7);
    let ring = ring(&[signer.public("key")]);
    let image = b"firmware".repeat(5000);
    let forms = [signer.plain(&image), signer.minisign(&image, "for you version:1.2 x")];
    for text in &forms {
        let signed = check(&ring, text, &image).unwrap();
        assert_eq!(signed.version.is_some(), text.contains("version:"));
        // Put into a file of its own it counts there, too.
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image").display().to_string();
        let (suffix, alone) = signed.file.unwrap();
        std::fs::write(format!("{path}{suffix}"), alone).unwrap();
        ring.verify(&path, None, &Store::Memory(image.clone())).unwrap();
        let mut flipped = image.clone();
        flipped[20_000] ^= 1;
        assert!(check(&ring, text, &flipped).is_err());
        assert!(check(&ring, text, &image[..image.len() - 1]).is_err());
    }
    assert_eq!(check(&ring, &forms[1], &image).unwrap().version.as_deref(), Some("1.2"));
    for changed in [
        forms[1].replace("1.2", "1.3"),
        // The trusted comment is stripped, alone or with what signs it.
        forms[1].lines().take(2).collect::<Vec<_>>().join("\n"),
        forms[1].lines().take(3).collect::<Vec<_>>().join("\n"),
        format!("{}trusted comment: version:9\n", forms[1]),
        forms[1].replacen("untrusted comment: signed\n", "", 1),
        format!("{}{}", forms[0], forms[0]),
    ] {
        assert!(check(&ring, &changed, &image).is_err(), "{changed}");
    }
}

/// A signature over the hash of an image is one over 64 bytes as well, if it is called so.
#[test]
fn a_signature_made_for_a_hash_is_none_for_the_64_bytes_of_the_hash() {
    let signer = Signer::new(7);
    let ring = ring(&[signer.public("key")]);
    let image = b"firmware".repeat(50);
    let hash = Blake2b512::digest(&image);
    let signature = signer.pair.sk.sign(hash, None);
    let relabelled = signer.file("signed", b"Ed", signature.as_ref());
    assert!(check(&ring, &relabelled, &hash).unwrap_err().contains("64 bytes"));
    // What signs the trusted comment signs no image either, where the key is known to be minisign's.
    let signed = signer.minisign(&image, "a comment");
    let global = Base64::decode_vec(signed.lines().nth(3).unwrap()).unwrap();
    let forged = signer.file("signed", b"Ed", &global);
    let message = [signature.as_ref(), b"a comment"].concat();
    let minisigns = self::ring(&[signer.public("minisign public key 1234")]);
    assert!(check(&minisigns, &forged, &message).is_err());
    let bare = signer.public("").lines().nth(1).unwrap().to_owned();
    assert!(check(&self::ring(&[bare]), &forged, &message).is_err());
}

/// A key of small order, by which anybody can sign, and a signature in its second form (RFC 8032, 5.1.7).
#[test]
fn what_anybody_can_make_of_a_key_or_a_signature_proves_nothing() {
    let image = b"firmware".repeat(50);
    let mut neutral = [0; 64];
    neutral[0] = 1;
    for key in [&neutral[..32], &[0; 32]] {
        let mut weak = Signer::new(7);
        weak.pair.pk = ed25519_compact::PublicKey::from_slice(key).unwrap();
        let ring = ring(&[weak.public("key")]);
        for signature in [neutral, [0; 64]] {
            assert!(check(&ring, &weak.file("signed", b"Ed", &signature), &image).is_err());
        }
    }
    let signer = Signer::new(7);
    let mut signature = signer.pair.sk.sign(&image, None).to_vec();
    const ORDER: [u8; 16] = 0x14de_f9de_a2f7_9cd6_5812_631a_5cf5_d3ed_u128.to_le_bytes();
    let mut carry = 0;
    for at in 0..32 {
        let order = ORDER.get(at).copied().unwrap_or(if at == 31 { 0x10 } else { 0 });
        let sum = u16::from(signature[32 + at]) + u16::from(order) + carry;
        (signature[32 + at], carry) = (sum as u8, sum >> 8);
    }
    let ring = ring(&[signer.public("key")]);
    assert!(check(&ring, &signer.plain(&image), &image).is_ok());
    assert!(check(&ring, &signer.file("signed", b"Ed", &signature), &image).is_err());
}

#[test]
fn a_key_that_is_revoked_counts_nowhere() {
    let signer = Signer::new(7);
    let image = b"firmware".repeat(50);
    let id = Key::parse(&signer.public("key")).unwrap().id;
    let usign = id.to_string();
    let minisign = format!("{:016X}", u64::from_le_bytes(id.0));
    for list in [format!("# old\n{usign} # lost\n"), minisign, usign.to_uppercase()] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.pub"), signer.public("key")).unwrap();
        std::fs::write(dir.path().join("revoked"), list).unwrap();
        let ring = Keyring::of(&[dir.path().to_owned()]).unwrap();
        assert!(!ring.is_empty());
        assert!(
            check(&ring, &signer.plain(&image), &image)
                .unwrap_err()
                .contains("revoked")
        );
    }
    // As usign has it.
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.pub"), signer.public("key")).unwrap();
    let link = dir.path().join(usign);
    std::os::unix::fs::symlink(".revoked.", &link).unwrap();
    let of = || Keyring::of(&[dir.path().to_owned()]);
    let refused = |ring: &Keyring| {
        let why = check(ring, &signer.plain(&image), &image).unwrap_err();
        assert!(why.contains("revoked"), "{why}");
        assert!(!ring.is_empty(), "a signature is demanded");
    };
    refused(&of().unwrap());
    // The link stands in the place of the key, and the rescue takes it over.
    std::fs::remove_file(dir.path().join("a.pub")).unwrap();
    refused(&of().unwrap());
    let rescue = dir.path().join("rescue");
    of().unwrap().save(&rescue).unwrap();
    refused(&Keyring::of(std::slice::from_ref(&rescue)).unwrap());
    std::fs::remove_dir_all(rescue).unwrap();
    std::fs::rename(&link, dir.path().join("not an id")).unwrap();
    assert!(of().is_err());
}

#[test]
fn what_is_no_key_or_can_be_anybodys_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let signer = Signer::new(7);
    let of = |name: &str, text: &str| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(name), text).unwrap();
        Keyring::of(&[dir.path().to_owned()])
    };
    assert!(of("a.pub", &signer.public("key")).is_ok());
    assert!(of(".hidden", "nothing").unwrap().is_empty());
    for text in ["", "hello", "untrusted comment: key\nAAAA\n", &"x".repeat(10_000)] {
        assert!(of("a.pub", text).is_err(), "{text}");
    }
    let two = format!("{}{}", signer.public("key"), Signer::new(8).public("key"));
    assert!(of("a.pub", &two).is_err());
    assert!(of("revoked", "not an id\n").is_err());
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.pub"), signer.public("key")).unwrap();
    for (path, mode) in [
        (dir.path().to_owned(), 0o1777),
        (dir.path().to_owned(), 0o770),
        (dir.path().join("a.pub"), 0o666),
    ] {
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o700)).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        assert!(Keyring::of(&[dir.path().to_owned()]).is_err(), "{mode:o}");
    }
    assert!(Keyring::of(&["/nowhere/at/all".into()]).unwrap().is_empty());
    // On a disk that is not mounted yet.
    let link = dir.path().join("link");
    std::os::unix::fs::symlink("/nowhere/at/all", &link).unwrap();
    assert!(Keyring::of(std::slice::from_ref(&link)).is_err());
    assert!(Keyring::of(&[link.join("keys")]).is_err());
}

/// Who names keys for one run demands one of them.
#[test]
fn a_directory_that_is_named_and_has_no_key_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let named = || {
        let mut ring = Keyring::default();
        ring.add_named(dir.path()).map(|()| ring)
    };
    assert!(named().is_err());
    std::fs::write(dir.path().join(".hidden"), "nothing").unwrap();
    assert!(named().is_err());
    std::fs::write(dir.path().join("a.pub"), Signer::new(7).public("key")).unwrap();
    assert!(!named().unwrap().is_empty());
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o1777)).unwrap();
    assert!(named().is_err());
}

/// libubox: number and length, then the bytes, filled up.
fn blob(number: u8, extended: bool, data: &[u8]) -> Vec<u8> {
    let word = u32::from(number) << 24 | u32::from(extended) << 31 | (data.len() as u32 + 4);
    let mut blob = [&word.to_be_bytes(), data].concat();
    blob.resize(blob.len().next_multiple_of(4), 0);
    blob
}

fn value(kind: u8, name: &str, data: &[u8]) -> Vec<u8> {
    let mut inside = (name.len() as u16).to_be_bytes().to_vec();
    inside.extend_from_slice(name.as_bytes());
    inside.push(0);
    inside.resize(inside.len().next_multiple_of(4), 0);
    inside.extend_from_slice(data);
    blob(kind, true, &inside)
}

/// `ucert -I`: a key that may sign for a time.
fn certificate(by: &Signer, kind: u32, time: (u64, u64), of: &Signer) -> Vec<u8> {
    let table = [
        value(5, "certtype", &kind.to_be_bytes()),
        value(4, "validfrom", &time.0.to_be_bytes()),
        value(4, "expiresat", &time.1.to_be_bytes()),
        value(3, "pubkey", format!("{}\0", of.public("usign")).as_bytes()),
    ];
    let payload = value(2, "ucert", &table.concat());
    let signature = blob(0, false, by.plain(&payload).as_bytes());
    blob(0, false, &[signature, blob(1, false, &payload)].concat())
}

/// `ucert -A`: the signature of the message behind it.
fn message(by: &Signer, message: &[u8]) -> Vec<u8> {
    blob(0, false, &blob(0, false, by.plain(message).as_bytes()))
}

fn with_trailer(image: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut whole = [image, payload].concat();
    let sum = fwtool::CRC.checksum(&whole);
    let size = payload.len() as u32 + 16;
    for bytes in [0x4657_7830, sum, 0, size] {
        whole.extend_from_slice(&u32::to_be_bytes(bytes));
    }
    whole
}

#[test]
fn openwrts_trailer_is_a_signature_or_a_chain() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let time = (now - 1000, now + 1000);
    let (root, build, other) = (Signer::new(1), Signer::new(2), Signer::new(3));
    let ring = ring(&[root.public("Public usign key"), other.public("another")]);
    let image = b"firmware".repeat(50);
    let of = |payload: &[u8]| {
        let store = Store::Memory(with_trailer(&image, payload));
        ring.trailer(&store).unwrap()
    };
    let good = [certificate(&root, 1, time, &build), message(&build, &image)].concat();
    assert!(of(&good).unwrap().is_ok());
    assert!(of(root.plain(&image).as_bytes()).unwrap().is_ok());
    assert!(of(&message(&root, &image)).unwrap().is_ok());
    let twice = [
        certificate(&root, 1, time, &other),
        certificate(&other, 1, time, &build),
        message(&build, &image),
    ];
    assert!(of(&twice.concat()).unwrap().is_ok());
    for (what, chain) in [
        ("no signature of the image", certificate(&root, 1, time, &build)),
        ("a key that nobody let sign", message(&build, &image)),
        (
            "by itself",
            [certificate(&build, 1, time, &build), message(&build, &image)].concat(),
        ),
        (
            "revoking",
            [certificate(&root, 2, time, &build), message(&build, &image)].concat(),
        ),
        (
            "expired",
            [certificate(&root, 1, (0, now - 1), &build), message(&build, &image)].concat(),
        ),
        (
            "not yet",
            [
                certificate(&root, 1, (now + 500, now + 900), &build),
                message(&build, &image),
            ]
            .concat(),
        ),
        (
            "another image",
            [certificate(&root, 1, time, &build), message(&build, b"other")].concat(),
        ),
        (
            "another key",
            [certificate(&root, 1, time, &build), message(&other, &image)].concat(),
        ),
        ("something behind it", [good.clone(), message(&other, &image)].concat()),
        ("nothing", Vec::new()),
    ] {
        assert!(of(&chain).unwrap().is_err(), "{what}");
    }
    // Each bit of it counts, and none is a panic.
    for at in 0..good.len() {
        let mut flipped = good.clone();
        flipped[at] ^= 0x10;
        let _ = of(&flipped);
        let _ = of(&good[..at]);
    }
    // What stands behind the signature is not signed: it is not a signature of the whole.
    let signed = with_trailer(&image, &good);
    let mut more = with_trailer(&signed, b"\0\0\0\0\0\0\0\0{}");
    let kind = more.len() - 8;
    more[kind] = 1;
    assert!(ring.trailer(&Store::Memory(more)).unwrap().is_none());
}

#[test]
fn a_signature_is_two_lines_or_four() {
    let signer = Signer::new(7);
    let text = signer.minisign(b"x", "c");
    assert!(SignatureFile::parse(&text).is_ok());
    assert!(SignatureFile::parse(&text.replace('\n', "\r\n")).is_ok());
    for bad in [
        "",
        "\n",
        "untrusted comment:\n",
        "untrusted comment: x\nAAAA\n",
        "trusted comment: x\n",
    ] {
        assert!(SignatureFile::parse(bad).is_err(), "{bad}");
    }
}
