//! `--listen`: whoever has the token can follow an update over the network, and nobody can do it any harm.

use crate::protocol::event_fault;
use crate::simbox::{Run, SimBox, bytes};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

const LENGTH: usize = 1_000_000;

/// An update of a box whose flash takes its time, which can be followed.
pub struct Slow {
    pub sim: SimBox,
    pub port: u16,
    pub token: String,
    child: Child,
    output: BufReader<ChildStdout>,
    out: String,
    begun: Instant,
}

impl Slow {
    /// Each of the 64 times that it writes to its flash takes so many milliseconds longer.
    pub fn begin(milliseconds: u32) -> Slow {
        Slow::within(milliseconds, &std::env::temp_dir())
    }

    /// The same with another directory for temporary files.
    fn within(milliseconds: u32, temporary: &Path) -> Slow {
        let sim = SimBox::of_anything("generic");
        let image = sim.file("image.bin", &bytes(LENGTH, 1));
        let mut child = Command::new("strace")
            // The tracer is no parent of the program, so that the child is the program itself.
            .args([
                "-D",
                "-f",
                "--seccomp-bpf",
                "-o",
                "/dev/null",
                "-e",
                "trace=pwrite64",
                "-e",
            ])
            .arg(format!("inject=pwrite64:delay_enter={milliseconds}ms"))
            .args([
                "--",
                env!("CARGO_BIN_EXE_flasher"),
                "--format",
                "json",
                "apply",
                "-y",
                "--sim",
            ])
            .arg(sim.path())
            .args(["--part", "rootfs", "--listen=127.0.0.1:0", &image])
            .env("TMPDIR", temporary)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace: tests/install base installs it");
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut out = String::new();
        let listening = loop {
            let mut line = String::new();
            assert!(output.read_line(&mut line).unwrap() > 0, "{out}");
            out.push_str(&line);
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["event"] == "listening" {
                break event;
            }
        };
        let port = u16::try_from(listening["port"].as_u64().unwrap()).unwrap();
        let token = listening["token"].as_str().unwrap().to_owned();
        assert_eq!(listening["url"], format!("http://127.0.0.1:{port}/{token}"));
        Slow {
            sim,
            port,
            token,
            child,
            output,
            out,
            begun: Instant::now(),
        }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/{}", self.port, self.token)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    fn asks(&self, bytes: &str) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(bytes.as_bytes()).unwrap();
        stream
    }

    fn gets(&self, path: &str) -> TcpStream {
        self.asks(&format!("GET {path} HTTP/1.1\r\nHost: box\r\nAccept: */*\r\n\r\n"))
    }

    fn follows(&self) -> TcpStream {
        self.gets(&format!("/{}/events", self.token))
    }

    fn proc(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.child.id())
    }

    /// Open descriptors of sockets.
    fn sockets(&self) -> usize {
        let entries = fs::read_dir(self.proc("fd")).into_iter().flatten().flatten();
        let links = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
        links
            .filter(|link| link.to_string_lossy().starts_with("socket:"))
            .count()
    }

    /// KiB of memory.
    fn memory(&self) -> u64 {
        let status = fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// How long the processor has worked for those who connect.
    fn spent(&self) -> Duration {
        let tasks = fs::read_dir(self.proc("task"))
            .unwrap()
            .flatten()
            .map(|task| task.path());
        let mut named = tasks.filter(|task| fs::read_to_string(task.join("comm")).unwrap().trim() == "listen");
        let task = named.next().unwrap();
        let stat = fs::read_to_string(task.join("schedstat")).unwrap();
        Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
    }

    /// Waits for its end; answers also how long it took.
    pub fn ends(mut self) -> (SimBox, Run, Duration) {
        self.output.read_to_string(&mut self.out).unwrap();
        let took = self.begun.elapsed();
        let mut run = Run::from(self.child.wait_with_output().unwrap());
        run.out = self.out;
        (self.sim, run, took)
    }
}

/// All that comes until the other end hangs up.
fn answer(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

/// Head and events of an answer.
fn events(answer: &str) -> (&str, Vec<Value>) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let lines = body.lines().filter(|line| !line.is_empty());
    (head, lines.map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn whoever_has_the_token_gets_the_page_and_every_event_to_the_end() {
    let slow = Slow::begin(40);
    let first = slow.follows();
    let page = answer(slow.gets(&format!("/{}", slow.token)));
    assert!(page.starts_with("HTTP/1.0 200 OK\r\n") && page.contains("Content-Security-Policy: default-src 'none';"));
    assert!(page.ends_with("</script>\n"), "{page}");
    for outside in ["http://", "https://", "src=", "href=", "url(", "@import"] {
        assert!(!page.split_once("\r\n\r\n").unwrap().1.contains(outside), "{outside}");
    }
    std::thread::sleep(Duration::from_millis(1500));
    let late = slow.follows();
    let (sim, run, _) = slow.ends();
    let run = run.exits(0);
    assert!(sim.flash()[0x35_0000..][..LENGTH] == bytes(LENGTH, 1)[..]);
    for (name, stream) in [("first", first), ("late", late)] {
        let answer = answer(stream);
        let (head, told) = events(&answer);
        assert!(
            head.starts_with("HTTP/1.0 200 OK\r\nContent-Type: application/x-ndjson\r\n"),
            "{head}"
        );
        for event in &told {
            assert_eq!(event_fault(event), None, "{event}");
        }
        assert_eq!(told.last(), Some(&run.json()), "{name}: {answer}");
        let phases: Vec<_> = told.iter().filter_map(|event| event["phase"].as_str()).collect();
        assert!(
            phases.contains(&"writing") && phases.contains(&"verifying"),
            "{name}: {answer}"
        );
    }
}

#[test]
fn without_the_token_nothing_is_told_and_no_answer_differs_from_another() {
    let slow = Slow::begin(80);
    let (token, mut answers) = (slow.token.clone(), Vec::new());
    let wrong = match token.starts_with('0') {
        true => token.replacen('0', "1", 1),
        false => format!("0{}", &token[1..]),
    };
    for path in [
        "/",
        "/events",
        "/favicon.ico",
        "//",
        "*",
        &wrong,
        &format!("/{wrong}"),
        &format!("/{wrong}/events"),
        &format!("/{}", &token[..31]),
        &format!("/{token}0"),
        &format!("/{token}/event"),
        &format!("/?{token}"),
        &format!("//{token}"),
        &format!("/{}", token.to_uppercase().replace(|c: char| c.is_ascii_digit(), "A")),
    ] {
        answers.push(answer(slow.gets(path)));
    }
    for method in ["POST", "HEAD", "get", "PUT", "OPTIONS"] {
        answers.push(answer(slow.asks(&format!("{method} /{token} HTTP/1.1\r\n\r\n"))));
    }
    answers.push(answer(slow.asks("\r\n")));
    for answer in &answers {
        assert_eq!(answer, "HTTP/1.0 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    }
    slow.ends().1.exits(0);
}

#[test]
fn two_hundred_who_mean_harm_get_no_memory_no_sockets_and_no_time() {
    let slow = Slow::begin(80);
    std::thread::sleep(Duration::from_millis(500));
    let follower = slow.follows();
    let before = slow.memory();
    let campaign = Instant::now();
    let (mut most, mut open, mut round) = (0, Vec::new(), 0_u64);
    while campaign.elapsed() < Duration::from_secs(4) {
        for _ in 0..50 {
            round += 1;
            let Ok(mut stream) =
                TcpStream::connect_timeout(&([127, 0, 0, 1], slow.port).into(), Duration::from_millis(20))
            else {
                continue;
            };
            stream.set_nonblocking(true).unwrap();
            let _ = match round % 7 {
                // Silent.
                0 => Ok(()),
                1 => stream.write_all(b"GET /"),
                2 => stream.write_all(format!("GET /{round:032x}/events HTTP/1.1\r\n\r\n").as_bytes()),
                // A first line without an end, and a head without one.
                3 => stream.write_all(&vec![b'A'; 1 << 20]),
                4 => stream.write_all(&[&b"GET / HTTP/1.1\r\n"[..], &[b'B'; 1 << 20]].concat()),
                5 => stream.write_all(&bytes(5000, round)),
                // The page again and again, and nothing of it read.
                _ => stream.write_all(format!("GET /{} HTTP/1.1\r\n\r\n", slow.token).as_bytes()),
            };
            open.push(stream);
        }
        let all = open.len();
        open.drain(..all.saturating_sub(200));
        most = most.max(slow.sockets());
        std::thread::sleep(Duration::from_millis(20));
    }
    let (spent, took) = (slow.spent(), campaign.elapsed());
    let memory = slow.memory().saturating_sub(before);
    assert!(round >= 200, "{round}");
    // The port, the two ends for the events, sixteen strangers, and those who follow.
    assert!(most <= 3 + 16 + 8 + 1, "{most} sockets");
    assert!(memory < 1024, "{memory} KiB");
    assert!(spent < took / 50, "{spent:?} of {took:?}");
    let (sim, run, _) = slow.ends();
    let run = run.exits(0);
    assert!(sim.flash()[0x35_0000..][..LENGTH] == bytes(LENGTH, 1)[..]);
    let heard = answer(follower);
    assert_eq!(events(&heard).1.last(), Some(&run.json()), "{heard}");
}

#[test]
fn those_who_do_not_read_or_have_gone_hold_nothing_up() {
    let (_, alone, quiet) = Slow::begin(20).ends();
    let slow = Slow::begin(20);
    let deaf: Vec<_> = (0..12).map(|_| slow.follows()).collect();
    for _ in 0..12 {
        drop(slow.follows());
    }
    let (_, run, took) = slow.ends();
    drop(deaf);
    let (alone, run) = (alone.exits(0).json(), run.exits(0).json());
    assert_eq!(alone, run);
    // They were told all of it long before the end; what is waited for at the end has a limit.
    assert!(took < quiet * 2 + Duration::from_secs(3), "{took:?}, {quiet:?}");
}

#[test]
fn a_port_that_cannot_be_had_is_told_before_anything_is_done() {
    let sim = SimBox::of_anything("generic");
    let image = sim.file("image.bin", &bytes(LENGTH, 1));
    let before = sim.flash();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for (at, why) in [
        (format!("--listen={port}"), "in use"),
        (format!("--listen=127.0.0.1:{port}"), "in use"),
        // TEST-NET-1 of RFC 5737 is nobody's.
        ("--listen=192.0.2.77:0".to_owned(), "assign"),
    ] {
        let run = sim.apply(&["--part", "rootfs", &at, &image]).exits(71);
        let result = run.json();
        assert_eq!(
            (&result["harm"], &result["code"]),
            (&"untouched".into(), &"system".into())
        );
        let error = &run.events()[0];
        assert!(error["text"].as_str().unwrap().contains(why), "{error}");
        assert_eq!(error["next"], "name another port: --listen=PORT");
    }
    for wrong in [
        "--listen=",
        "--listen=x",
        "--listen=70000",
        "--listen=nas:80",
        "--listen=::1",
    ] {
        let run = sim.apply(&["--part", "rootfs", wrong, &image]);
        assert_eq!(run.exit, if wrong == "--listen=" { 0 } else { 64 }, "{wrong}: {run:?}");
        sim.fill(&before);
    }
    // What only plans opens nothing.
    sim.run("plan", &["--part", "rootfs", &format!("--listen={port}"), &image])
        .exits(0);
    assert_eq!(sim.flash(), before);
}

#[test]
fn where_to_look_is_told_also_where_little_is_wanted_and_nothing_listens_unless_asked() {
    let sim = SimBox::of_anything("generic");
    let image = sim.file("image.bin", &bytes(LENGTH, 1));
    let run = |words: &[&str]| {
        let dir = sim.path();
        let output = Command::new(env!("CARGO_BIN_EXE_flasher"))
            .args(["-q", "apply", "-y", "--part", "rootfs", "--sim", dir.to_str().unwrap()])
            .args(words)
            .arg(&image)
            .stdin(Stdio::null())
            .env("SSH_CONNECTION", "192.0.2.9 50000 2001:db8::7 22")
            .output();
        sim.fill(&[0xff; 16 << 20]);
        Run::from(output.unwrap()).exits(0).out
    };
    assert!(!run(&[]).contains("progress: "));
    let out = run(&["--listen=0"]);
    let line = out.lines().find(|line| line.starts_with("progress: ")).unwrap();
    assert!(line.starts_with("progress: http://[2001:db8::7]:"), "{line}");
    let trace = sim.dir.path().join("trace");
    let traced = Command::new("strace")
        .args([
            "-f",
            "-o",
            trace.to_str().unwrap(),
            "-e",
            "trace=socket,socketpair,bind,listen,clone,clone3",
        ])
        .args([
            "--",
            env!("CARGO_BIN_EXE_flasher"),
            "apply",
            "-y",
            "--part",
            "rootfs",
            "--sim",
        ])
        .arg(sim.path())
        .arg(&image)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Run::from(traced).exits(0);
    let calls = fs::read_to_string(trace).unwrap();
    assert!(
        !["socket", "bind(", "listen("].iter().any(|call| calls.contains(call)),
        "{calls}"
    );
}

/// Splash screens and web pages of boxes that had SWUpdate: judged by its own client.
#[test]
fn programs_that_know_swupdate_show_it_too() {
    let dir = tempfile::tempdir().unwrap();
    // A socket that nobody listens at any more is in nobody's way.
    drop(std::os::unix::net::UnixListener::bind(dir.path().join("swupdateprog")).unwrap());
    let slow = Slow::within(40, dir.path());
    let mut client = Command::new("stdbuf");
    client
        .args(["-oL", "swupdate-progress", "-w"])
        .env("TMPDIR", dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut client = client.spawn().expect("swupdate: tests/install base installs it");
    // Whoever connects and reads nothing is in nobody's way either.
    let begun = Instant::now();
    let idle = loop {
        match std::os::unix::net::UnixStream::connect(dir.path().join("swupdateprog")) {
            Ok(idle) => break idle,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(20), "{error}"),
        }
    };
    let (_, run, _) = slow.ends();
    let run = run.exits(0);
    assert_eq!(run.json()["code"], "written");
    std::thread::sleep(Duration::from_millis(500));
    client.kill().unwrap();
    let mut said = String::new();
    client.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    client.wait().unwrap();
    assert!(said.contains("1 of 2") && said.contains("2 of 2"), "{said}");
    assert!(said.contains("writing") && said.contains("100%"), "{said}");
    assert!(said.contains("SUCCESS"), "{said}");
    assert!(!dir.path().join("swupdateprog").exists());
    drop(idle);
}

/// A local user puts what he likes where clients of SWUpdate look: it is left to him, and nothing waits for it.
#[test]
fn whoever_has_the_place_of_swupdates_socket_keeps_it_and_holds_nothing_up() {
    use std::os::unix::net::{UnixListener, UnixStream};
    let place = |dir: &std::path::Path| dir.join("swupdateprog");
    // A server that never answers: everybody who connects to it from now on waits.
    let dir = tempfile::tempdir().unwrap();
    let server = UnixListener::bind(place(dir.path())).unwrap();
    nix::sys::socket::listen(&server, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let _first = UnixStream::connect(place(dir.path())).unwrap();
    let (_, run, took) = Slow::within(4, dir.path()).ends();
    run.exits(0);
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert!(place(dir.path()).exists());
    drop(server);
    // A file, and a link to one of root's.
    let dir = tempfile::tempdir().unwrap();
    fs::write(place(dir.path()), "his").unwrap();
    Slow::within(1, dir.path()).ends().1.exits(0);
    assert_eq!(fs::read(place(dir.path())).unwrap(), b"his");
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc/passwd", place(dir.path())).unwrap();
    Slow::within(1, dir.path()).ends().1.exits(0);
    assert!(fs::read_link(place(dir.path())).is_ok());
    // A directory in which others decide what its names mean: there is no socket.
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let slow = Slow::within(4, dir.path());
    assert!(!place(dir.path()).exists());
    slow.ends().1.exits(0);
}
