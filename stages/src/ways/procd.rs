//! OpenWrt's procd: ubus tells it to execute `/sbin/upgraded` of the root that it sees, which is ours after the pivot.
//!
//! Since 2021-11 procd ends the services before that, ubusd among them, and an exec that fails then leaves a box without
//! either. So what it will execute is executed once before: procd runs our validator from the new root, or starts our marker there,
//! and either is the same file as `/sbin/upgraded`.
#![forbid(unsafe_code)]

use super::{HandOver, ptrace, silent};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::event::StageEvent;
use crate::marker::marker;
use crate::mounts::root_is_ram_root;
use crate::populate::{also_at, write_secret};
use crate::ubus::{Answer, Client, Members, Value};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// For an answer of ubus. Procd runs the validator in it.
const LIMIT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);
/// From procd's answer that it starts a service until that is executed.
const EXECUTION: Duration = Duration::from_millis(300);
/// What procd executes: as PID 1 (17.01 and older by the second path), and to check an image.
const EXECUTED: [&str; 3] = ["/sbin/upgraded", "/tmp/upgraded", VALIDATOR];
const VALIDATOR: &str = "/usr/libexec/validate_firmware_image";
/// What only who reads the RAM root can know: that procd's answer has it shows that it ran our validator there.
const TOKEN: &str = "/token";
/// The service that stands for the validator where there is none.
const SERVICE: &str = "flasher-marker";

/// `enum ubus_msg_status`.
const INVALID_ARGUMENT: u32 = 2;
const UNKNOWN_ERROR: u32 = 9;
/// Until 2020-01 (commit ea45c4a) procd gives up reading what the validator says when a child of its ends meanwhile, and answers
/// [`UNKNOWN_ERROR`]. So it is asked again.
const TRIES: usize = 5;

#[derive(Debug, Default)]
pub(super) struct Ubus {
    /// Made before the pivot: after it ubusd finds no `/etc/passwd` and drops every new client.
    procd: Option<Procd>,
    token: String,
    /// The last word was said before.
    told: bool,
}

#[derive(Debug)]
struct Procd {
    client: Client,
    system: u32,
    /// Whether it validates images by a program (19.07 and later).
    validates: bool,
}

/// Whether procd hands over by ubus. It is asked without arguments, which changes nothing: the signature that is listed proves
/// nothing (17.01 lists methods that it does not serve).
pub(super) fn serves() -> bool {
    Procd::find().is_ok()
}

impl Procd {
    fn find() -> io::Result<Self> {
        let mut client = Client::connect(LIMIT)?;
        let system = client.lookup("system")?.ok_or(io::ErrorKind::NotFound)?;
        let mut served = |method: &str| -> io::Result<bool> {
            let answer = client.call(system, method, &[])?;
            Ok(answer.status == INVALID_ARGUMENT)
        };
        if !served("sysupgrade")? {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let validates = served("validate_firmware_image")?;
        Ok(Self {
            client,
            system,
            validates,
        })
    }

    /// Calls a method that runs the validator.
    fn validate(&mut self, method: &str, arguments: Members<'_>) -> io::Result<Answer> {
        let mut tries = 1..TRIES;
        loop {
            let answer = self.client.call(self.system, method, arguments)?;
            if answer.status != UNKNOWN_ERROR || tries.next().is_none() {
                return Ok(answer);
            }
        }
    }

    fn service(&mut self, method: &str, arguments: Members<'_>) -> io::Result<Answer> {
        let object = self.client.lookup("service")?.ok_or(io::ErrorKind::NotFound)?;
        self.client.call(object, method, arguments)
    }

    /// Has procd end our marker and forget it. Not at once after it was told to start it: what it has forked and not yet executed
    /// takes SIGTERM for procd's own, and shuts the box down (18.06, `signal.c`).
    fn forget_marker(&mut self) {
        let _ = self.service("delete", &[("name", Value::Text(SERVICE))]);
    }

    /// Has procd start our marker, and end it again.
    fn starts_marker(&mut self, limit: Duration) -> Result<()> {
        let what = "start a program of the new root";
        // One that sleeps is to keep no word of ours for later.
        self.client
            .call(self.system, "sysupgrade", &[])
            .map_err(|e| unanswered(what, e))?;
        let start = Instant::now();
        let command = ["/flasher", "init-marker"].map(Value::Text);
        let instance = [("command", Value::List(&command))];
        let instances = [("m", Value::Table(&instance))];
        let service = [("name", Value::Text(SERVICE)), ("instances", Value::Table(&instances))];
        let added = self.service("add", &service).map_err(|e| unanswered(what, e))?;
        let came = loop {
            if marker().is_some() {
                break true;
            }
            if added.status != 0 || start.elapsed() >= limit {
                break false;
            }
            sleep(POLL);
        };
        self.forget_marker();
        if came { Ok(()) } else { Err(silent(what, limit)) }
    }
}

/// No answer came to a call by which procd was to do `what`.
fn unanswered(what: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => silent(what, LIMIT),
        _ => Error::new(ErrorKind::InitSilent, format!("procd did not {what}: ubusd: {error}")),
    }
}

impl HandOver for Ubus {
    fn prepare(&mut self, root: &Path) -> Result<()> {
        self.procd = Some(Procd::find().context(|| "ask procd over ubus".to_owned())?);
        for path in EXECUTED {
            also_at(root, path)?;
        }
        // For ubusd, which drops a new client whose user it cannot look up.
        for (file, line) in [
            ("etc/passwd", "root:x:0:0:root:/:/bin/sh\n"),
            ("etc/group", "root:x:0:\n"),
        ] {
            fs::write(root.join(file), line).context(|| format!("write {file}"))?;
        }
        let mut random = [0; 16];
        File::open("/dev/urandom")
            .and_then(|mut source| source.read_exact(&mut random))
            .context(|| "read /dev/urandom".to_owned())?;
        self.token = random.iter().map(|byte| format!("{byte:02x}")).collect();
        write_secret(&root.join(TOKEN.trim_start_matches('/')), self.token.as_bytes())
    }

    fn prove(&mut self, limit: Duration, on_event: &mut dyn FnMut(StageEvent)) -> Result<()> {
        let start = Instant::now();
        let procd = self.procd.as_mut().ok_or_else(|| silent("answer", limit))?;
        if procd.validates {
            let what = "run the validator of the new root";
            let answer = procd
                .validate("validate_firmware_image", &[("path", Value::Text("/x"))])
                .map_err(|e| unanswered(what, e))?;
            if answer.status != 0 || answer.text("flasher") != Some(self.token.as_bytes()) {
                return Err(Error::new(ErrorKind::InitSilent, format!("procd did not {what}")));
            }
        } else {
            procd.starts_marker(limit)?;
        }
        on_event(StageEvent::Started { after: start.elapsed() });
        Ok(())
    }

    /// It answers only when it fails: it executes us, and that is the end of its connection. The connection is also at its end when
    /// ubusd has died meanwhile, and there will be no other, because procd finds no ubusd in the new root. So what is not acted on
    /// is repeated by ptrace.
    fn fire(&mut self) -> io::Result<()> {
        if self.told && ptrace::allowed().is_ok() {
            return ptrace::Ptrace.fire();
        }
        self.told = true;
        let procd = self.procd.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let arguments = [("path", Value::Text("/flasher")), ("prefix", Value::Text("/"))];
        match procd.validate("sysupgrade", &arguments) {
            Ok(answer) => Err(io::Error::other(format!("procd answers {}", answer.status))),
            Err(_) => Ok(()),
        }
    }

    /// A marker must not be started again, and procd not be left with a service more than it had.
    fn forget(&mut self, marker: Option<u32>) -> Vec<String> {
        if let Ok(mut procd) = Procd::find()
            && (marker.is_some() || !procd.validates)
        {
            // It has started by now what it was told to start before, and that has been executed, or failed to be, then.
            sleep(EXECUTION);
            procd.forget_marker();
        }
        Vec::new()
    }
}

/// Where this program was started as procd's validator in the RAM root: answers, with what only a program in this root can know.
/// `None` where it was not.
pub(crate) fn answer_validation(name: &str) -> Option<String> {
    if name != VALIDATOR || !root_is_ram_root() {
        return None;
    }
    let token = fs::read_to_string(TOKEN).unwrap_or_default();
    Some(format!(
        "{{\"tests\":{{}},\"valid\":true,\"forceable\":true,\"allow_backup\":true,\"flasher\":\"{token}\"}}"
    ))
}
