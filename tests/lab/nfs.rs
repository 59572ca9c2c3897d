//! An NFS server on the workstation: version 3 over TCP (RFC 1813), for reading only. It can fall asleep.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const MOUNT: u32 = 100_005;
const NFS: u32 = 100_003;
/// Errors of RFC 1813.
const NOENT: u32 = 2;
const ROFS: u32 = 30;
const NOTSUPP: u32 = 10_004;
/// Bytes that a READ answers at the most.
const CHUNK: usize = 64 << 10;

/// Serves a directory until the test ends.
pub struct Server {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    files: Mutex<Files>,
    asleep: AtomicBool,
}

/// Files by their handle, which is a number.
struct Files {
    paths: Vec<PathBuf>,
    handles: HashMap<PathBuf, u64>,
}

impl Files {
    fn handle(&mut self, path: PathBuf) -> u64 {
        let next = self.paths.len() as u64;
        *self.handles.entry(path.clone()).or_insert_with(|| {
            self.paths.push(path);
            next
        })
    }
}

impl Server {
    /// Serves this directory at a port of the loopback interface, which a box sees at 10.0.2.2.
    pub fn start(root: &Path) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let shared = Arc::new(Shared {
            files: Mutex::new(Files {
                paths: vec![root.to_owned()],
                handles: HashMap::from([(root.to_owned(), 0)]),
            }),
            asleep: AtomicBool::new(false),
        });
        let ours = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Server { port, shared: ours }
    }

    /// The options of mount(2) for a box.
    pub fn options(&self) -> String {
        let port = self.port;
        format!("ro,nolock,vers=3,proto=tcp,port={port},mountproto=tcp,mountport={port},addr=10.0.2.2")
    }

    /// Answers nothing any more, like a server whose power was cut.
    pub fn falls_asleep(&self) {
        self.shared.asleep.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One connection: calls in, answers out, each in one fragment.
    fn serve(&self, mut stream: TcpStream) {
        let mut mark = [0; 4];
        while stream.read_exact(&mut mark).is_ok() {
            let mut call = vec![0; (u32::from_be_bytes(mark) & 0x7fff_ffff) as usize];
            if stream.read_exact(&mut call).is_err() {
                return;
            }
            if self.asleep.load(Ordering::SeqCst) {
                continue;
            }
            let answer = self.answer(&mut Call(&call));
            let mark = (answer.0.len() as u32 | 0x8000_0000).to_be_bytes();
            if stream.write_all(&[&mark, &answer.0[..]].concat()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, call: &mut Call<'_>) -> Answer {
        let xid = call.u32();
        // That it is a call, and of which version of RPC.
        call.u32();
        call.u32();
        let (program, _version, procedure) = (call.u32(), call.u32(), call.u32());
        for _ in ["credentials", "verifier"] {
            call.u32();
            call.bytes();
        }
        let mut answer = Answer(Vec::new());
        // A reply, accepted, without a verifier, successful.
        answer.all(&[xid, 1, 0, 0, 0, 0]);
        match (program, procedure) {
            (_, 0) => {}
            (MOUNT, 1) => {
                answer.all(&[0, 8]).u64(0);
                // One kind of credentials: AUTH_SYS.
                answer.all(&[1, 1]);
            }
            (MOUNT, _) => {}
            (NFS, _) => self.nfs(procedure, call, &mut answer),
            _ => panic!("nobody asks for program {program}"),
        }
        answer
    }

    fn nfs(&self, procedure: u32, call: &mut Call<'_>, answer: &mut Answer) {
        let handle = call.bytes();
        let handle = u64::from_be_bytes(handle.try_into().expect("a handle of ours"));
        let path = self.files().paths[handle as usize].clone();
        let about = path.symlink_metadata().ok();
        match procedure {
            // GETATTR
            1 => match about {
                Some(about) => answer.all(&[0]).attributes(handle, &about),
                None => drop(answer.all(&[NOENT])),
            },
            // LOOKUP
            3 => {
                let name = std::ffi::OsStr::from_bytes(call.bytes());
                let found = if name == ".." {
                    path.parent().unwrap_or(&path).to_owned()
                } else {
                    path.join(name)
                };
                match found.symlink_metadata() {
                    Ok(there) => {
                        let other = self.files().handle(found);
                        answer.all(&[0, 8]).u64(other);
                        answer.after(other, Some(&there));
                    }
                    Err(_) => drop(answer.all(&[NOENT])),
                }
                answer.after(handle, about.as_ref());
            }
            // ACCESS: READ, LOOKUP and EXECUTE
            4 => {
                let wanted = call.u32();
                answer.all(&[0]).after(handle, about.as_ref());
                answer.all(&[wanted & 0x23]);
            }
            // READLINK
            5 => {
                let target = fs::read_link(&path).unwrap_or_default();
                answer.all(&[0]).after(handle, about.as_ref());
                answer.bytes(target.as_os_str().as_bytes());
            }
            // READ
            6 => {
                let (offset, count) = (call.u64() as usize, call.u32() as usize);
                let content = fs::read(&path).unwrap_or_default();
                let rest = &content[offset.min(content.len())..];
                let piece = &rest[..rest.len().min(count).min(CHUNK)];
                answer.all(&[0]).after(handle, about.as_ref());
                answer.all(&[piece.len() as u32, u32::from(piece.len() == rest.len())]);
                answer.bytes(piece);
            }
            // READDIR: all at once, as directories of these trees are short
            16 => {
                let cookie = call.u64();
                let mut names: Vec<_> = fs::read_dir(&path)
                    .into_iter()
                    .flatten()
                    .flatten()
                    .map(|entry| entry.file_name())
                    .collect();
                names.sort();
                answer.all(&[0]).after(handle, about.as_ref());
                answer.u64(0);
                for (at, name) in names.iter().enumerate().skip(cookie as usize) {
                    let id = self.files().handle(path.join(name));
                    answer.all(&[1]).u64(id + 1);
                    answer.bytes(name.as_bytes());
                    answer.u64(at as u64 + 1);
                }
                answer.all(&[0, 1]);
            }
            17 => answer.all(&[NOTSUPP]).after(handle, None),
            // FSSTAT
            18 => {
                answer.all(&[0]).after(handle, about.as_ref());
                for _ in 0..6 {
                    answer.u64(1 << 30);
                }
                answer.all(&[0]);
            }
            // FSINFO: sizes for READ, WRITE and READDIR, the longest file, the clock, symbolic links
            19 => {
                let chunk = CHUNK as u32;
                answer.all(&[0]).after(handle, about.as_ref());
                answer.all(&[chunk, chunk, 4096, chunk, chunk, 4096, chunk]);
                answer.u64(1 << 40);
                answer.all(&[0, 1, 0x0a]);
            }
            // PATHCONF
            20 => {
                answer.all(&[0]).after(handle, about.as_ref());
                answer.all(&[1, 255, 1, 1, 0, 1]);
            }
            // What would write: no attributes from before, none from after.
            _ => drop(answer.all(&[ROFS, 0, 0, 0, 0])),
        }
    }
}

/// What is left to read of a call (XDR, RFC 4506).
struct Call<'a>(&'a [u8]);

impl<'a> Call<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().expect("four bytes"))
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.take(8).try_into().expect("eight bytes"))
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = self.u32() as usize;
        &self.take(length.next_multiple_of(4))[..length]
    }
}

struct Answer(Vec<u8>);

impl Answer {
    fn all(&mut self, words: &[u32]) -> &mut Self {
        for word in words {
            self.0.extend(word.to_be_bytes());
        }
        self
    }

    fn u64(&mut self, value: u64) {
        self.0.extend(value.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.all(&[bytes.len() as u32]);
        self.0.extend(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// `post_op_attr`
    fn after(&mut self, handle: u64, about: Option<&Metadata>) {
        self.all(&[u32::from(about.is_some())]);
        if let Some(about) = about {
            self.attributes(handle, about);
        }
    }

    /// `fattr3`; everything is root's.
    fn attributes(&mut self, handle: u64, about: &Metadata) {
        let kind = match about.file_type() {
            kind if kind.is_dir() => 2,
            kind if kind.is_symlink() => 5,
            _ => 1,
        };
        self.all(&[kind, about.mode() & 0o7777, about.nlink() as u32, 0, 0]);
        self.u64(about.len());
        self.u64(about.len());
        self.all(&[0, 0]);
        self.u64(1);
        self.u64(handle + 1);
        let time = about.mtime() as u32;
        self.all(&[time, 0, time, 0, time, 0]);
    }
}
