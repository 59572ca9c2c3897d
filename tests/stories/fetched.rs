//! IMAGE is fetched by a program of the box: real curl, wget and busybox from real servers.

use crate::recovery::text;
use crate::simbox::{Run, SimBox, bytes, tool};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const MIB: usize = 1 << 20;
/// What is typed each time.
const APPLY: [&str; 6] = ["--format", "json", "apply", "-y", "--part", "kernel"];

/// HTTPS with a certificate of its own. `/secret` wants a user and his password, `/short` ends too early. The connection breaks in
/// the midst of the first answer to a path with `breaks`: `/breaks-tagged` vouches for the file by its tag and goes on where that
/// is asked for, `/breaks-deaf` sends all of it in any case, `/breaks-silent` vouches for nothing, and of `/breaks-changed` and
/// `/breaks-other` the second answer is of another file, told and not told. `/breaks-dates` goes by the date. `/lengths` says two lengths where it is only asked. There are no
/// signatures, but that of `/busy` may come later. What is asked for is written to the file `asked`.
const HTTPS: &str = "\
import base64, http.server, ssl, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self): self.do_GET()
    def do_GET(self):
        want = 'Basic ' + base64.b64encode(b'box:a word').decode()
        if self.path == '/secret' and self.headers.get('Authorization') != want:
            self.send_response(401); self.send_header('WWW-Authenticate', 'Basic realm=\"x\"'); self.end_headers(); return
        if self.path == '/missing': self.send_error(404); return
        if self.path.endswith('sig'): self.send_error(503 if self.path == '/busy.sig' else 404); return
        image = open('image', 'rb').read()
        kind = self.path.partition('/breaks-')[2]
        seen = self.server.seen.get(self.path, 0)
        if self.command == 'GET': self.server.seen[self.path] = seen + 1
        begin = 0
        if kind in ('tagged', 'dates') and self.headers.get('Range'):
            begin = int(self.headers['Range'].removeprefix('bytes=').removesuffix('-'))
        print(self.command, self.path, self.headers.get('Range', 'all'), file=open('asked', 'a'))
        if kind == 'other' and seen: image = image[::-1]
        self.send_response(206 if begin else 200)
        if begin: self.send_header('Content-Range', f'bytes {begin}-{len(image) - 1}/{len(image)}')
        if kind in ('tagged', 'deaf', 'changed'): self.send_header('ETag', '\"%d\"' % (seen if kind == 'changed' else 1))
        if kind == 'dates': self.send_header('Last-Modified', 'Thu, 26 Nov 2026 20:24:04 GMT')
        if self.path != '/endless': self.send_header('Content-Length', str(1 << 28 if self.path == '/huge' else len(image) - begin))
        if self.path == '/lengths' and self.command == 'HEAD': self.send_header('Content-Length', '65536')
        self.end_headers()
        if self.path == '/huge': return
        short = self.path == '/short' or kind and not seen
        if self.command == 'GET': self.wfile.write(image[begin:len(image) // 2] if short else image[begin:])
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Answer)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); context.load_cert_chain('cert', 'key')
server.seen = {}
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
";

/// HTTPS that leads to `localhost`, where another server is, without TLS or with it, which writes down what it is shown.
const LEADS_AWAY: &str = "\
import http.server, ssl, sys, threading
def serve(answer, tls):
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), answer)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); context.load_cert_chain('cert', 'key')
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever).start()
    return server.server_port
class Answer(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self): self.do_GET()
    def log_message(self, *words): pass
class Other(Answer):
    def do_GET(self):
        print(self.path, self.headers.get('Authorization'), file=open('shown', 'a'))
        self.send_response(200); self.send_header('Content-Length', '1048576'); self.end_headers()
        if self.command == 'GET': self.wfile.write(open('image', 'rb').read())
others = {'/plain': serve(Other, False), '/tls': serve(Other, True)}
class First(Answer):
    def do_GET(self):
        self.send_response(302); self.send_header('Content-Length', '0')
        scheme = 'https' if self.path == '/tls' else 'http'
        self.send_header('Location', f'{scheme}://localhost:{others[self.path]}{self.path}'); self.end_headers()
print(serve(First, True), flush=True)
";

/// FTP for everybody. Of `breaks` half a file comes at first.
const FTP: &str = "\
from pyftpdlib.filesystems import AbstractedFS
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
class Half:
    closed = False
    def __init__(self, file): self.file, self.name, self.left = file, file.name, 1 << 19
    def read(self, length):
        bytes = self.file.read(min(length, self.left)); self.left -= len(bytes); return bytes
    def seek(self, place): self.file.seek(place)
    def close(self): self.file.close(); self.closed = True
class Breaking(AbstractedFS):
    opened = 0
    def open(self, name, mode):
        file = super().open(name, mode)
        if not name.endswith('breaks'): return file
        Breaking.opened += 1
        return Half(file) if Breaking.opened == 1 else file
FTPHandler.abstracted_fs, FTPHandler.use_sendfile = Breaking, False
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
    https_by(HTTPS)
}

fn https_by(program: &str) -> (SimBox, Vec<u8>, Server) {
    let sim = SimBox::new("generic");
    let image = bytes(MIB, 40);
    sim.file("image", &image);
    let dir = sim.path().parent().unwrap().to_owned();
    let make = "cd \"$1\" && openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 2 -subj /CN=127.0.0.1 \
                -addext subjectAltName=IP:127.0.0.1,DNS:localhost 2>/dev/null && printf 'cacert = \"%s/cert\"\\n' \"$1\" >curlrc \
                && (cat curlrc; echo 'user = \"box:a word\"') >secret && printf 'ca_certificate = %s/cert\\n' \"$1\" >wgetrc \
                && (cat wgetrc; printf 'user = box\\npassword = a word\\nauth_no_challenge = on\\n') >wgetsecret \
                && chmod 600 curlrc secret wgetrc wgetsecret && cp secret known && chmod 644 known";
    tool("sh", &["-ec", make, "sh", text(&dir)]);
    let server = Server::start(&dir, program);
    (sim, image, server)
}

/// `flasher`, perhaps on a box without curl.
fn apply(sim: &SimBox, curl: bool, words: &[&str]) -> Run {
    apply_by(sim, if curl { "curl" } else { "wget" }, words)
}

/// `flasher` on a box that fetches by this program: curl, wget or busybox.
fn apply_by(sim: &SimBox, program: &str, words: &[&str]) -> Run {
    let no_curl = "mount --bind /dev/null /usr/bin/curl";
    let place = sim.path().parent().unwrap().join("place");
    let hide = match program {
        "curl" => "true".to_owned(),
        "wget" => no_curl.to_owned(),
        _ => format!(
            "{no_curl}; mount --bind /dev/null /usr/bin/wget; mkdir -p {0}; ln -sf $(command -v busybox) {0}/wget; \
             mount --bind {0} /usr/sbin",
            text(&place)
        ),
    };
    let output = Command::new("unshare")
        .args(["-m", "sh", "-ec", &format!("{hide}; exec \"$@\"")])
        .args(["sh", env!("CARGO_BIN_EXE_flasher")])
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

/// A server that leads elsewhere gets the box neither to give a password away nor to take what came without TLS.
#[test]
fn no_server_leads_out_of_https_or_to_a_password() {
    for (program, secret) in [("curl", "secret"), ("wget", "wgetsecret")] {
        let (sim, image, server) = https_by(LEADS_AWAY);
        let dir = sim.path().parent().unwrap().to_owned();
        let at = |name: &str| format!("https://127.0.0.1:{}/{name}", server.port);
        let shown = || std::fs::read_to_string(dir.join("shown")).unwrap_or_default();
        let secret = dir.join(secret);
        let blank = sim.flash();
        for name in ["plain", "tls"] {
            let run = apply_by(&sim, program, &["--fetch-config", text(&secret), &at(name)]);
            let follows = (program, name) == ("curl", "tls");
            assert_eq!(run.exit, if follows { 0 } else { 66 }, "{program} {name}: {run:?}");
            assert_eq!(shown().contains(&format!("/{name}")), follows, "{}", shown());
            assert!(!shown().contains("Basic"), "{program}: {}", shown());
        }
        sim.fill(&blank);
        // Without a password of ours: what the system's own file says is believed.
        let own = "mount --bind \"$1/wgetrc\" /etc/wgetrc; export CURL_CA_BUNDLE=$1/cert; mount --bind \"$1/cert\" /etc/ssl/certs/ca-certificates.crt; \
                   [ \"$2\" = curl ] || mount --bind /dev/null /usr/bin/curl; shift 2; exec \"$@\"";
        for (name, exit) in [("plain", 66), ("tls", 0)] {
            let output = Command::new("unshare")
                .args(["-m", "sh", "-ec", own, "sh", text(&dir), program])
                .arg(env!("CARGO_BIN_EXE_flasher"))
                .args(APPLY)
                .args(["--sim", text(&sim.path()), &at(name)])
                .output()
                .unwrap();
            let run = Run::from(output);
            assert_eq!(run.exit, exit, "{program} {name}: {run:?}");
            assert!(!shown().contains("/plain"), "{program}: {}", shown());
            assert!(exit == 0 || sim.flash() == blank);
        }
        holds(&sim, &image);
    }
}

/// What a server refuses is not there; what it cannot hand out now may be. Only the first is the end of an update.
#[test]
fn a_signature_that_is_missing_is_told_from_one_that_may_come() {
    for (program, config) in [("curl", "curlrc"), ("wget", "wgetrc")] {
        let (sim, _, server) = https();
        let path = |name: &str| sim.path().parent().unwrap().join(name);
        let key = crate::trust::minisign(&sim, text(&path("image")));
        for (name, exit) in [("image", 65), ("busy", 66)] {
            let url = format!("https://127.0.0.1:{}/{name}", server.port);
            let run = apply_by(
                &sim,
                program,
                &["--fetch-config", text(&path(config)), "--key", &key, &url],
            );
            assert_eq!(run.exit, exit, "{program} {name}: {run:?}");
        }
    }
    let sim = SimBox::new("generic");
    let image = sim.file("image", &bytes(MIB, 45));
    let key = crate::trust::minisign(&sim, &image);
    std::fs::remove_file(format!("{image}.minisig")).unwrap();
    let server = Server::start(sim.path().parent().unwrap(), FTP);
    let url = format!("ftp://127.0.0.1:{}/image", server.port);
    for program in ["curl", "wget", "busybox"] {
        let run = apply_by(&sim, program, &["--key", &key, &url]);
        assert_eq!(run.exit, 65, "{program}: {run:?}");
    }
}

/// What says its length itself needs no more; what does not is as any stream.
#[test]
fn the_length_is_asked_before() {
    for (program, config) in [("curl", "curlrc"), ("wget", "wgetrc")] {
        let (sim, image, server) = https();
        let config = sim.path().parent().unwrap().join(config);
        let at = |name: &str| format!("https://127.0.0.1:{}/{name}", server.port);
        let apply = |words: &[&str]| apply_by(&sim, program, &[&["--fetch-config", text(&config)], words].concat());
        // wget takes the end of an answer without a length for a break, where TLS is not ended first.
        if program == "curl" {
            let run = apply(&[&at("endless")]);
            assert!(run.exit == 78 && run.out.contains("--size"), "{run:?}");
        }
        // Two of them are none.
        let run = apply(&[&at("lengths")]);
        assert!(run.exit == 66 && run.out.contains("two lengths"), "{run:?}");
        let run = apply(&[&at("image")]);
        assert_eq!(run.exit, 0, "{run:?}");
        holds(&sim, &image);
        // What the box has no room for is refused before it comes.
        let run = apply(&[&at("huge")]);
        assert_eq!((run.exit, &run.json()["code"]), (78, &"ram".into()), "{run:?}");
        assert_eq!(asked(&sim).last().unwrap(), "HEAD /huge all");
    }
}

/// What the server was asked for: method, path and range.
fn asked(sim: &SimBox) -> Vec<String> {
    let text = std::fs::read_to_string(sim.path().parent().unwrap().join("asked")).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// A download that breaks goes on where it broke, if the server vouches for the file; else what came before has to come again.
#[test]
fn a_download_that_breaks_goes_on() {
    for (program, config) in [("curl", "curlrc"), ("wget", "wgetrc")] {
        let (sim, image, server) = https();
        let config = sim.path().parent().unwrap().join(config);
        let blank = sim.flash();
        // curl refuses all where it asked for the rest, and is asked for all then; wget leaves out what it has.
        let deaf = program == "wget";
        for (name, range, said) in [
            ("tagged", true, None),
            ("dates", true, None),
            ("deaf", deaf, None),
            ("silent", false, None),
            ("changed", false, Some("another one now")),
            ("other", false, Some("another one now")),
        ] {
            sim.fill(&blank);
            let url = format!("https://127.0.0.1:{}/breaks-{name}", server.port);
            let run = apply_by(&sim, program, &["--fetch-config", text(&config), &url]);
            match said {
                None => {
                    assert_eq!(run.exit, 0, "{program} {name}: {run:?}");
                    holds(&sim, &image);
                }
                Some(said) => {
                    assert!(run.exit == 66 && run.out.contains(said), "{program} {name}: {run:?}");
                    assert!(sim.flash() == blank, "{program} {name}");
                }
            }
            let all = asked(&sim);
            let of_this: Vec<_> = all
                .iter()
                .filter(|line| line.starts_with(&format!("GET /breaks-{name} ")))
                .collect();
            let half = format!("bytes={}-", MIB / 2);
            assert_eq!(of_this.last().unwrap().ends_with(&half), range, "{program}: {all:?}");
        }
    }
}

#[test]
fn ftp() {
    let server_of = |seed| {
        let sim = SimBox::new("generic");
        let image = bytes(MIB, seed);
        for name in ["image", "breaks"] {
            sim.file(name, &image);
        }
        let server = Server::start(sim.path().parent().unwrap(), FTP);
        (sim, image, server)
    };
    for (program, seed) in [("curl", 41), ("wget", 43), ("busybox", 44)] {
        let (sim, image, server) = server_of(seed);
        let at = |name: &str| format!("ftp://127.0.0.1:{}/{name}", server.port);
        let run = apply_by(&sim, program, &["--size", &MIB.to_string(), &at("missing")]);
        assert_eq!(run.exit, 66, "{program}: {run:?}");
        // Each asks for the length; and a file that came by half is fetched to its end.
        for name in ["image", "breaks"] {
            sim.fill(&vec![0xff; sim.flash().len()]);
            let run = apply_by(&sim, program, &[&at(name)]);
            assert_eq!(run.exit, 0, "{program} {name}: {run:?}");
            holds(&sim, &image);
        }
    }
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
