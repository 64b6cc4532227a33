//! A request against the status endpoint, from another machine: what it may see, and what it can
//! keep others from.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::World;

/// What runs on a host: it sends `sys.argv[3]` and prints what comes back, and how long that took.
const ASK: &str = r#"
import socket, sys, time
begun = time.monotonic()
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 20) as s:
    s.sendall(sys.argv[3].encode("latin-1").decode("unicode_escape").encode("latin-1"))
    answer = b""
    while piece := s.recv(65536):
        answer += piece
print(round((time.monotonic() - begun) * 1000))
sys.stdout.write(answer.decode("utf-8", "replace"))
"#;

/// What runs on the attacker: half of a request on each of 1,100 connections, and a new one for
/// each that the other side closes, for as long as the file stands there.
const HOLD: &str = r#"
import os, resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
host, port = sys.argv[1], int(sys.argv[2])

def half():
    s = socket.socket()
    s.settimeout(5)
    try:
        s.connect((host, port))
        s.sendall(b"GET /login HTTP/1.1\r\nHost: " + host.encode() + b"\r\nX-Slow: ")
    except OSError:
        pass
    s.setblocking(False)
    return s

def is_closed(s):
    try:
        return not s.recv(4096)
    except BlockingIOError:
        return False
    except OSError:
        return True

held = [half() for _ in range(1100)]
open("/run/attacking", "w").close()
while os.path.exists("/run/attack"):
    for n, s in enumerate(held):
        if is_closed(s):
            s.close()
            held[n] = half()
"#;

/// `pressluft serve`, open to the hosts and to this machine.
struct Endpoint {
    child: Child,
    /// The address that the hosts see, and its port.
    remote: (String, String),
    local: String,
}

impl Endpoint {
    fn open(world: &World) -> Self {
        let gateway = world.fleet(&["gateway"]).expect(0).stdout.trim().to_owned();
        fs::create_dir_all(world.state()).expect("made");
        fs::write(
            world.state().join("pressluft.toml"),
            format!("plain_http = true\nallowed_hosts = [\"{gateway}\"]\n"),
        )
        .expect("written");
        world.write("pressluft.yaml", "kind: Fleet\nversion: 1\nname: end\n");
        world.commit("A fleet");
        let repo = world.repo().display().to_string();
        let mut child = world
            .command(&["serve", "--json", "--repo", &repo, "--ref", "main"])
            .env("PRESSLUFT_LISTEN_ADDR", format!("{gateway}:0,127.0.0.1:0"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("pressluft runs");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut addresses = Vec::new();
        while addresses.len() < 2 {
            let line = lines.next().expect("an address").expect("a line");
            let line: Value = serde_json::from_str(&line).expect("JSON");
            if let Some(url) = line["url"].as_str() {
                let address = url.trim_start_matches("http://").trim_end_matches('/');
                addresses.push(address.to_owned());
            }
        }
        // What it says later is read by nobody, but read.
        std::thread::spawn(move || lines.for_each(drop));
        let (host, port) = addresses[0].rsplit_once(':').expect("a port");
        Self {
            remote: (host.to_owned(), port.to_owned()),
            local: addresses[1].clone(),
            child,
        }
    }

    /// What `host` gets for `text`, and after how many milliseconds.
    fn ask(&self, world: &World, host: u32, text: &str) -> (u64, String) {
        let (address, port) = &self.remote;
        let text = text.replace("HERE", address);
        let escaped = text.escape_default().to_string();
        let said = world.ssh(
            host,
            &format!("python3 /root/ask.py {address} {port} '{escaped}'"),
        );
        let (took, answer) = said.split_once('\n').expect("a time");
        (took.parse().expect("a number"), answer.to_owned())
    }

    fn status(&self, world: &World, host: u32, text: &str) -> String {
        let (_, answer) = self.ask(world, host, text);
        answer.split(' ').nth(1).unwrap_or("nothing").to_owned()
    }

    /// How long a probe of this machine takes.
    fn probe(&self) -> Duration {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(&self.local).expect("connected");
        let head = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        begun.elapsed()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn install(world: &World, host: u32, path: &str, program: &str) {
    world.ssh(host, &format!("cat >{path} <<'END'\n{program}\nEND"));
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: HERE\r\n{headers}Connection: close\r\n\r\n")
}

#[test]
fn another_machine_sees_nothing_and_keeps_nobody_waiting() {
    let world = World::new("bendpt", 2);
    for host in [1, 2] {
        install(&world, host, "/root/ask.py", ASK);
    }
    let endpoint = Endpoint::open(&world);
    sees_nothing(&world, &endpoint);
    is_read_strictly(&world, &endpoint);
    keeps_nobody_waiting(&world, &endpoint);
}

/// Whatever it says of itself, it is not this machine and has no login.
fn sees_nothing(world: &World, endpoint: &Endpoint) {
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/api/jobs",
        "/api/audit",
        "/",
    ] {
        for headers in [
            "",
            "X-Forwarded-For: 127.0.0.1\r\n",
            "Forwarded: for=127.0.0.1\r\n",
            "X-Real-IP: 127.0.0.1\r\n",
            "Authorization: Bearer x\r\n",
            "Cookie: session_token=x\r\n",
        ] {
            let status = endpoint.status(world, 1, &get(path, headers));
            assert_eq!(status, "401", "{path} {headers}");
        }
        let here = get(path, "").replace("HERE", "localhost");
        assert_eq!(
            endpoint.status(world, 1, &here),
            "401",
            "{path} as localhost"
        );
        let rebound = get(path, "").replace("HERE", "rebound.example");
        assert_eq!(endpoint.status(world, 1, &rebound), "421", "{path}");
    }
    assert_eq!(endpoint.status(world, 1, &get("/login", "")), "200");
}

fn is_read_strictly(world: &World, endpoint: &Endpoint) {
    let smuggled = get("/login", "").replace("\r\n", "\n");
    assert_eq!(endpoint.status(world, 1, &smuggled), "400");
    for headers in [
        "Host: HERE\r\n",
        "X-A : b\r\n",
        "X-A: b\r\n c\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
    ] {
        assert_eq!(
            endpoint.status(world, 1, &get("/login", headers)),
            "400",
            "{headers}"
        );
    }
    for path in ["/assets/%2e%2e/login", "/login%00", "//login", "/login?x=1"] {
        assert_eq!(endpoint.status(world, 1, &get(path, "")), "400", "{path}");
    }
}

fn keeps_nobody_waiting(world: &World, endpoint: &Endpoint) {
    install(world, 1, "/root/hold.py", HOLD);
    let (address, port) = &endpoint.remote;
    world.ssh(
        1,
        &format!(
            "touch /run/attack; systemd-run --collect --quiet python3 /root/hold.py {address} {port}; \
             timeout 60 sh -c 'until test -e /run/attacking; do sleep 0.2; done'"
        ),
    );
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let (took, answer) = endpoint.ask(world, 2, &get("/login", ""));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        slowest = slowest
            .max(Duration::from_millis(took))
            .max(endpoint.probe());
    }
    world.ssh(1, "rm /run/attack");
    assert!(
        slowest < Duration::from_secs(2),
        "others waited {slowest:?}"
    );
}
