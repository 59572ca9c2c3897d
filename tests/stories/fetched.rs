//! IMAGE is fetched by a program of the box: real curl, wget and busybox from real servers.

use crate::recovery::text;
use crate::simbox::{Run, SimBox, bytes, tool};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const MIB: usize = 1 << 20;
/// What is typed each time.
const APPLY: [&str; 6] = ["--format", "json", "apply", "-y", "--part", "kernel"];

/// HTTPS with a certificate of its own. `/secret` wants a user and his password, `/short` ends too early.
const HTTPS: &str = "\
import base64, http.server, ssl, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self): self.do_GET()
    def do_GET(self):
        want = 'Basic ' + base64.b64encode(b'box:a word').decode()
        if self.path == '/secret' and self.headers.get('Authorization') != want:
            self.send_response(401); self.send_header('WWW-Authenticate', 'Basic realm=\"x\"'); self.end_headers(); return
        if self.path == '/missing': self.send_error(404); return
        image = open('image', 'rb').read()
        self.send_response(200)
        if self.path != '/endless': self.send_header('Content-Length', str(len(image)))
        self.end_headers()
        if self.command == 'GET': self.wfile.write(image[:len(image) // 2] if self.path == '/short' else image)
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Answer)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); context.load_cert_chain('cert', 'key')
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
";

/// FTP for everybody.
const FTP: &str = "\
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
FTPHandler.authorizer = DummyAuthorizer(); FTPHandler.authorizer.add_anonymous('.')
server = FTPServer(('127.0.0.1', 0), FTPHandler)
print(server.socket.getsockname()[1], flush=True)
server.serve_forever()
";

pub struct Server {
    process: Child,
    pub port: String,
}

impl Server {
    /// A program that says its port in its first line.
    fn start(dir: &Path, program: &str) -> Server {
        Server::start_with(dir, program, &[])
    }

    /// The same, with these arguments.
    pub fn start_with(dir: &Path, program: &str, arguments: &[&str]) -> Server {
        let mut process = Command::new("/usr/bin/python3")
            .args(["-c", program])
            .args(arguments)
            .current_dir(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        let port = port.trim().to_owned();
        assert!(!port.is_empty(), "the server did not start");
        Server { process, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A box, the image in its directory, and a server with a certificate for 127.0.0.1.
fn https() -> (SimBox, Vec<u8>, Server) {
    let sim = SimBox::new("generic");
    let image = bytes(MIB, 40);
    sim.file("image", &image);
    let dir = sim.path().parent().unwrap().to_owned();
    let make = "cd \"$1\" && openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 2 -subj /CN=127.0.0.1 \
                -addext subjectAltName=IP:127.0.0.1 2>/dev/null && printf 'cacert = \"%s/cert\"\\n' \"$1\" >curlrc \
                && (cat curlrc; echo 'user = \"box:a word\"') >secret && printf 'ca_certificate = %s/cert\\n' \"$1\" >wgetrc \
                && (cat wgetrc; printf 'user = box\\npassword = a word\\nauth_no_challenge = on\\n') >wgetsecret \
                && chmod 600 curlrc secret wgetrc wgetsecret && cp secret known && chmod 644 known";
    tool("sh", &["-ec", make, "sh", text(&dir)]);
    let server = Server::start(&dir, HTTPS);
    (sim, image, server)
}

/// `flasher`, perhaps on a box without curl.
fn apply(sim: &SimBox, curl: bool, words: &[&str]) -> Run {
    let hide = match curl {
        true => "exec \"$@\"",
        false => "mount --bind /dev/null /usr/bin/curl && exec \"$@\"",
    };
    let output = Command::new("unshare")
        .args(["-m", "sh", "-ec", hide, "sh", env!("CARGO_BIN_EXE_flasher")])
        .args(APPLY)
        .args(["--sim", text(&sim.path())])
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Run::from(output)
}

fn holds(sim: &SimBox, image: &[u8]) {
    assert!(sim.flash()[0x50000..0x50000 + image.len()] == *image);
}

#[test]
fn https_by_curl_and_by_wget() {
    for (curl, config, secret) in [(true, "curlrc", "secret"), (false, "wgetrc", "wgetsecret")] {
        let (sim, image, server) = https();
        let at = |name: &str| format!("https://127.0.0.1:{}/{name}", server.port);
        let file = |name: &str| sim.path().parent().unwrap().join(name);
        let size = MIB.to_string();
        let before = sim.flash();
        let refused = |words: &[&str], said: &str| {
            let run = apply(&sim, curl, words);
            assert!(run.exit == 66 && run.out.contains(said), "{words:?} {run:?}");
            assert_eq!(run.json()["harm"], "untouched");
        };
        let exit_code = match curl {
            true => "/usr/bin/curl ended with exit code",
            false => "/usr/bin/wget ended with exit code",
        };
        let config = file(config);
        let ours = ["--fetch-config", text(&config), "--size", &size];
        // A certificate of nobody whom the box believes; a password that is lacking; and bytes that are.
        refused(&["--size", &size, &at("image")], exit_code);
        for name in ["missing", "secret", "short"] {
            refused(&[&ours[..], &[&at(name)]].concat(), exit_code);
        }
        refused(&["--fetch-config", text(&file("known")), &at("secret")], "chmod 0600");
        let inline = format!("https://box:word@127.0.0.1:{}/secret", server.port);
        refused(&[&ours[..], &[&inline]].concat(), "--fetch-config");
        assert!(sim.flash() == before);

        let secret = file(secret);
        let ours = ["--fetch-config", text(&secret), "--size", &size];
        let run = apply(&sim, curl, &[&ours[..], &[&at("secret")]].concat());
        assert_eq!(run.exit, 0, "{run:?}");
        holds(&sim, &image);
    }
}

/// What says its length itself needs no more; what does not is as any stream.
#[test]
fn the_length_is_asked_before() {
    let (sim, image, server) = https();
    let config = sim.path().parent().unwrap().join("curlrc");
    let at = |name: &str| format!("https://127.0.0.1:{}/{name}", server.port);
    let run = apply(&sim, true, &["--fetch-config", text(&config), &at("endless")]);
    assert!(run.exit == 78 && run.out.contains("--size"), "{run:?}");
    let run = apply(&sim, true, &["--fetch-config", text(&config), &at("image")]);
    assert_eq!(run.exit, 0, "{run:?}");
    holds(&sim, &image);
}

#[test]
fn ftp() {
    let sim = SimBox::new("generic");
    let image = bytes(MIB, 41);
    sim.file("image", &image);
    let server = Server::start(sim.path().parent().unwrap(), FTP);
    let at = |name: &str| format!("ftp://127.0.0.1:{}/{name}", server.port);
    assert_eq!(apply(&sim, true, &[&at("missing")]).exit, 66);
    let run = apply(&sim, true, &[&at("image")]);
    assert_eq!(run.exit, 0, "{run:?}");
    holds(&sim, &image);
    // GNU wget is asked for no length.
    let run = apply(&sim, false, &[&at("image")]);
    assert!(run.exit == 78 && run.out.contains("--size"), "{run:?}");
    let run = apply(&sim, false, &["--size", &MIB.to_string(), &at("image")]);
    assert_eq!(run.exit, 0, "{run:?}");
}

/// TFTP has no end but a short packet, and no length: whoever sends the image says what it is.
#[test]
fn tftp_by_curl_and_by_busybox() {
    for curl in [true, false] {
        let sim = SimBox::new("generic");
        let image = bytes(MIB, 42);
        sim.file("image", &image);
        let dir = sim.path().parent().unwrap().to_owned();
        let dir = text(&dir);
        let place = format!("{}/place", dir);
        let hide = match curl {
            true => "true".to_owned(),
            false => format!(
                "mount --bind /dev/null /usr/bin/curl; mkdir {place}; ln -s $(command -v busybox) {place}/tftp; \
                 mount --bind {place} /usr/sbin"
            ),
        };
        // Where the server listens nobody else does.
        let script = format!(
            "ip link set lo up; dnsmasq --keep-in-foreground --port=0 --user=root --pid-file= --enable-tftp --tftp-root={} & \
             sleep 1; {hide}; \"$@\"; code=$?; kill $!; exit $code",
            dir
        );
        let run = |words: &[&str]| {
            let output = Command::new("unshare")
                .args(["-n", "-m", "sh", "-c", &script, "sh", env!("CARGO_BIN_EXE_flasher")])
                .args(APPLY)
                .args(["--sim", text(&sim.path())])
                .args(words)
                .output()
                .unwrap();
            Run::from(output)
        };
        let size = MIB.to_string();
        let done = run(&["--size", &size, "tftp://127.0.0.1/image"]);
        assert_eq!(done.exit, 0, "{done:?}");
        holds(&sim, &image);
        let missing = run(&["--size", &size, "tftp://127.0.0.1/missing"]);
        assert_eq!(missing.exit, 66, "{missing:?}");
    }
}
