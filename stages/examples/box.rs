//! A stand-in for `flasher` with which the stories in `tests/` take a box over: `box apply NAME [key=value…]`.
//!
//! It reports to the abstract socket `NAME`, which is out of reach of mounts, and as PID 1 does its "work": it says
//! whether the proof was given, and reboots.

use mtd_rs::{Map, PartitionId};
use stages::{DeviceNode, HandOff, Limits, Populate, RamRoot, StageEvent, Wakeup};
use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    match stages::wake() {
        Wakeup::Marker => stages::init_marker(),
        Wakeup::Validator(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Wakeup::TakenOver(pid_one) => pid_one_works(*pid_one),
        Wakeup::Prepared(root) => root.enter(),
        Wakeup::NothingToDo(reason) => stages::boot_on(&reason),
        Wakeup::NotPidOne => {
            let words: Vec<String> = std::env::args().skip(1).collect();
            if words.first().is_some_and(|verb| verb == "look") {
                return look();
            }
            match apply(&words) {
                Ok(()) => ExitCode::SUCCESS,
                Err(e) => {
                    eprintln!("{:?}: {e}", e.kind());
                    ExitCode::from(71)
                }
            }
        }
    }
}

/// Says what init is, and by which way it can be taken over.
fn look() -> ExitCode {
    let init = stages::init::detect();
    match stages::way(&init) {
        Ok(way) => println!("{init}: {way:?}"),
        Err(refusal) => println!("{init}: {refusal}; {}", refusal.remedy()),
    }
    ExitCode::SUCCESS
}

/// `apply` takes over, `prepare` leaves the RAM root for a restart line.
fn apply(words: &[String]) -> stages::Result<()> {
    let name = words.get(1).cloned().unwrap_or_default();
    let option = |key: &str| {
        words
            .iter()
            .find_map(|word| Some(word.strip_prefix(key)?.strip_prefix('=')?.to_owned()))
    };
    let number = |key: &str| option(key).and_then(|text| text.parse().ok());
    let root = RamRoot::create()?;
    // As whoever applies an image has it open until the end.
    let image = root.path().join("image");
    let _image = std::fs::write(&image, b"image").and_then(|()| std::fs::File::open(&image));
    let payload = serde_json::json!({ "name": name, "pause_ms": number("pause_ms"), "panic": number("panic") });
    let handoff = HandOff::new(payload.to_string());
    let nodes = DeviceNode::mtd(0);
    let shell = option("shell");
    let root = root.populate(&Populate {
        handoff: &handoff,
        device_nodes: &nodes,
        rescue_shell: shell.as_deref().map(Path::new),
    })?;
    if words.first().is_some_and(|verb| verb == "prepare") {
        return stages::prepare(root).map(|pid| tell(&name, &format!("prepared, held by {pid}")));
    }
    let limits = Limits {
        arm: number("arm_s").map_or(Limits::default().arm, Duration::from_secs),
        grace: number("grace_ms").map_or(Limits::default().grace, Duration::from_millis),
        caller_exit: number("exit_ms").map_or(Limits::default().caller_exit, Duration::from_millis),
    };
    let mut on_event = |event: StageEvent| {
        tell(&name, &event.to_string());
        if let Some(ms) = number("slow_ms") {
            sleep(Duration::from_millis(ms));
        }
    };
    stages::take_over_with(root, limits, &mut on_event)?;
    // As on a box that has much else to do.
    sleep(Duration::from_millis(number("last_ms").unwrap_or(0)));
    tell(&name, "caller: last line");
    Ok(())
}

fn pid_one_works(pid_one: stages::PidOne) -> ! {
    let payload: serde_json::Value = serde_json::from_str(&pid_one.handoff().payload).unwrap_or_default();
    let name = payload["name"].as_str().unwrap_or_default().to_owned();
    tell(&name, "pid one: up");
    if !payload["panic"].is_null() {
        panic!("on purpose");
    }
    // A story that has to do something first says when it has.
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(payload["pause_ms"].as_u64().unwrap_or(0))
        && !Path::new("/go").exists()
    {
        sleep(Duration::from_millis(20));
    }
    match pid_one.detach(&mut |event| tell(&name, &event.to_string())) {
        Ok(detached) => {
            let kernel = PartitionId::Mtd(0);
            let proof = detached.prove_unheld(&Map::default(), &[kernel]);
            tell(
                &name,
                &format!(
                    "work done, proof given: {}",
                    proof.is_ok_and(|proof| proof.covers(kernel))
                ),
            );
            let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
            tell(&name, &format!("mounts:\n{mounts}"));
            let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
            let open: Vec<String> = open
                .filter_map(|entry| Some(std::fs::read_link(entry.path()).ok()?.display().to_string()))
                .collect();
            tell(&name, &format!("open: {}", open.join(" ")));
            tell(&name, &format!("peak: {:?}", stages::memory::peak()));
        }
        Err(failed) => tell(&name, &format!("no work done: {}", failed.1)),
    }
    stages::power::reboot()
}

/// Reports to the story. That nobody listens is no reason to stop.
fn tell(name: &str, text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
    if let (Ok(address), Ok(socket)) = (SocketAddr::from_abstract_name(name), UnixDatagram::unbound()) {
        // The queue is ten messages long, and a story may be busy elsewhere.
        let _ = socket.set_write_timeout(Some(Duration::from_secs(2)));
        let _ = socket.send_to_addr(text.as_bytes(), &address);
    }
}
