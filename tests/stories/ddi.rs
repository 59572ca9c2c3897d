//! An update server of hawkBit's interface that says what it is told to say, right or wrong, and remembers what it was asked.

use crate::hawkbit::Hawkbit;
use crate::simbox::{Run, SimBox, flasher};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The path of the box's resource.
pub const RESOURCE: &str = "/DEFAULT/controller/v1/box-1";

/// What was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub authorization: String,
    pub body: Value,
}

type Change = Box<dyn FnOnce(&mut Hawkbit) + Send>;
type Answer = Box<dyn FnMut(&mut TcpStream) + Send>;

#[derive(Default)]
struct State {
    documents: BTreeMap<String, Vec<u8>>,
    answers: BTreeMap<String, Answer>,
    asked: Vec<Asked>,
    /// What happens when the path is asked for: other documents from then on.
    then: BTreeMap<String, Vec<(String, Value)>>,
    /// What happens at the server when a path is asked for.
    when: BTreeMap<String, Change>,
}

/// The server.
#[derive(Clone)]
pub struct Ddi {
    pub host: String,
    state: Arc<Mutex<State>>,
    /// What it knows of the box, if it answers by that. Whoever has it may ask for the state, and not the other way round.
    hawkbit: Arc<Mutex<Option<Hawkbit>>>,
}

/// `details`, `execution` and `finished` of one feedback.
pub type Told = (String, String, String);

impl Ddi {
    /// One that wants nothing.
    pub fn new() -> Ddi {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ddi = Ddi {
            host: listener.local_addr().unwrap().to_string(),
            state: Arc::default(),
            hawkbit: Arc::default(),
        };
        ddi.wants(json!({}));
        let serving = ddi.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let ddi = serving.clone();
                std::thread::spawn(move || ddi.serve(stream));
            }
        });
        ddi
    }

    pub fn url(&self) -> String {
        format!("http://{}/DEFAULT", self.host)
    }

    /// A link to a path below the box's resource.
    pub fn link(&self, path: &str) -> Value {
        json!({"href": format!("http://{}{RESOURCE}/{path}", self.host)})
    }

    /// The links that the box is given.
    pub fn wants(&self, links: Value) {
        let base = json!({"config": {"polling": {"sleep": "00:00:01"}}, "_links": links});
        self.says("", base.to_string());
    }

    /// What the server says at a path below the box's resource, with status 200.
    pub fn says(&self, path: &str, text: impl Into<Vec<u8>>) {
        let path = match path.starts_with('/') {
            true => path.to_owned(),
            false if path.is_empty() => RESOURCE.to_owned(),
            false => format!("{RESOURCE}/{path}"),
        };
        let mut state = self.state.lock().unwrap();
        state.answers.remove(&path);
        state.documents.insert(path, text.into());
    }

    /// What it does instead at a path below the box's resource.
    pub fn does(&self, path: &str, answer: impl FnMut(&mut TcpStream) + Send + 'static) {
        let path = match path.starts_with('/') {
            true => path.to_owned(),
            false if path.is_empty() => RESOURCE.to_owned(),
            false => format!("{RESOURCE}/{path}"),
        };
        self.state.lock().unwrap().answers.insert(path, Box::new(answer));
    }

    /// What it says at another path as soon as this one was asked for.
    pub fn then(&self, asked: &str, path: &str, says: Value) {
        let asked = format!("{RESOURCE}/{asked}");
        let path = match path.is_empty() {
            true => RESOURCE.to_owned(),
            false => format!("{RESOURCE}/{path}"),
        };
        let mut state = self.state.lock().unwrap();
        state.then.entry(asked).or_default().push((path, says));
    }

    /// Lets it answer as hawkBit does, and does something there.
    pub fn hawkbit(&self, change: impl FnOnce(&mut Hawkbit)) {
        change(self.hawkbit.lock().unwrap().get_or_insert_default());
    }

    /// What is done there as soon as this path is asked for.
    pub fn when(&self, asked: &str, change: impl FnOnce(&mut Hawkbit) + Send + 'static) {
        let mut state = self.state.lock().unwrap();
        state.when.insert(asked.to_owned(), Box::new(change));
    }

    /// A file that is an artifact, as hawkBit describes it.
    pub fn artifact(&self, name: &str, content: &[u8]) -> Value {
        let path = format!("/files/{name}");
        self.says(&path, content);
        let sum = Sha256::digest(content)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>();
        json!({
            "filename": name, "size": content.len(),
            "hashes": {"sha1": "0000", "md5": "0000", "sha256": sum},
            "_links": {
                "download": {"href": format!("https://{}{path}", self.host)},
                "download-http": {"href": format!("http://{}{path}", self.host)},
            },
        })
    }

    /// Wants these files installed, as the update of this name.
    pub fn deploys(&self, id: &str, artifacts: &[Value]) -> Value {
        let deployment = json!({
            "id": id,
            "deployment": {
                "download": "forced", "update": "forced",
                "chunks": [{"part": "os", "version": "1", "name": "firmware", "artifacts": artifacts}],
            },
        });
        self.says(&format!("deploymentBase/{id}"), deployment.to_string());
        self.wants(json!({"deploymentBase": self.link(&format!("deploymentBase/{id}?c=-7"))}));
        deployment
    }

    /// Wants the update of this name not to be done; what else it wants is not said meanwhile.
    pub fn cancels(&self, id: &str) {
        let cancel = json!({"id": id, "cancelAction": {"stopId": id}});
        self.says(&format!("cancelAction/{id}"), cancel.to_string());
        self.wants(json!({"cancelAction": self.link(&format!("cancelAction/{id}"))}));
    }

    /// Everything that was asked.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().unwrap().asked.clone()
    }

    /// How often a path below the box's resource was asked for with that method.
    pub fn count(&self, method: &str, path: &str) -> usize {
        let asked = self.asked();
        asked
            .iter()
            .filter(|asked| asked.method == method && asked.path.contains(path))
            .count()
    }

    /// Every feedback below this path, in its order, and none of them twice.
    pub fn told(&self, path: &str) -> Vec<Told> {
        let word = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned();
        let asked = self.asked();
        let feedback = asked
            .iter()
            .filter(|asked| asked.path.ends_with("/feedback") && asked.path.contains(path));
        feedback
            .map(|asked| {
                let status = &asked.body["status"];
                (
                    word(&status["details"][0]),
                    word(&status["execution"]),
                    word(&status["result"]["finished"]),
                )
            })
            .collect()
    }

    /// The last feedback of updates.
    pub fn last(&self) -> Told {
        self.told("deploymentBase").pop().unwrap_or_default()
    }

    fn serve(&self, stream: TcpStream) {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut reader = BufReader::new(stream);
        let mut first = String::new();
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        let mut words = first.split_whitespace();
        let (method, path) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
        let (mut length, mut authorization) = (0, String::new());
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim().split_once(':') else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap(),
                "authorization" => authorization = value.trim().to_owned(),
                _ => (),
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let body = match length {
            0 => Value::Null,
            _ => serde_json::from_slice(&body).unwrap(),
        };
        let key = path.split('?').next().unwrap().to_owned();
        let mut hawkbit = self.hawkbit.lock().unwrap();
        let mut state = self.state.lock().unwrap();
        state.asked.push(Asked {
            method: method.clone(),
            path,
            authorization,
            body: body.clone(),
        });
        let change = state.when.remove(&key);
        if let (Some(server), Some(change)) = (hawkbit.as_mut(), change) {
            change(server);
        }
        let answer = state.answers.remove(&key);
        let document = state.documents.get(&key).cloned();
        for (path, says) in state.then.remove(&key).unwrap_or_default() {
            state.documents.insert(path, says.to_string().into_bytes());
        }
        let known = match (hawkbit.as_mut(), key.strip_prefix(RESOURCE)) {
            (Some(server), Some(path)) => Some(server.answers(&method, path, &body, |path| self.link(path))),
            _ => None,
        };
        drop((state, hawkbit));
        let mut stream = reader.into_inner();
        if let Some((status, body)) = known {
            let body = body.to_string();
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(head.as_bytes());
            return;
        }
        if let Some(mut answer) = answer {
            answer(&mut stream);
            self.state.lock().unwrap().answers.entry(key).or_insert(answer);
            return;
        }
        let (status, body) = match (method.as_str(), document) {
            ("GET", Some(document)) => ("200 OK", document),
            ("POST" | "PUT", _) => ("200 OK", Vec::new()),
            _ => ("404 Not Found", Vec::new()),
        };
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
    }
}

/// A status, and nothing else.
pub fn status(status: &'static str) -> impl FnMut(&mut TcpStream) + Send + 'static {
    move |stream| {
        let _ = write!(
            stream,
            "HTTP/1.1 {status}\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n"
        );
    }
}

/// Lets the simulated box boot.
pub fn boots(sim: &SimBox, boot: &str) {
    let dir = sim.path().join("proc/sys/kernel/random");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("boot_id"), format!("{boot}\n")).unwrap();
}

/// A box that has booted once, and whose partitions may hold anything.
pub fn polled_box() -> SimBox {
    let sim = SimBox::of_anything("generic");
    boots(&sim, "11111111-0000-0000-0000-000000000000");
    sim
}

/// `flasher poll` of this box at this server, with the options behind it.
pub fn poll(sim: &SimBox, url: &str, words: &[&str]) -> Run {
    let config = sim.file("poll.conf", b"target-token=a1b2c3\nattribute.place=roof\n");
    fs::set_permissions(&config, PermissionsExt::from_mode(0o600)).unwrap();
    let path = sim.path();
    let ours = [
        "--format",
        "json",
        "poll",
        "--sim",
        path.to_str().unwrap(),
        "--url",
        url,
        "--id",
        "box-1",
        "--config",
        &config,
        "--part",
        "kernel",
    ];
    flasher(&[&ours, words].concat())
}
