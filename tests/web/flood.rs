//! One source that takes all it can get: another one, and this machine, are served all the same.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use crate::client::{connect, connect_from, get, post};
use crate::world::{Setup, World};

const ATTACKER: Ipv4Addr = Ipv4Addr::LOCALHOST;
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Far more than a served request takes, far less than any time-out.
const SOON: Duration = Duration::from_secs(2);

/// A part of a head, and no more.
const PART: &[u8] = b"GET /login HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";

/// How long a request from `source` takes, from its connection to its answer.
fn served(world: &World, source: Ipv4Addr, path: &str) -> Duration {
    let begun = Instant::now();
    let mut stream = connect_from(source, world.address);
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    begun.elapsed()
}

/// Others are served while `held` are held open; the slowest of ten each.
fn others_are_served(world: &World, held: &[TcpStream]) {
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        slowest = slowest.max(served(world, OTHER, "/login"));
        // A probe of this machine, from the very address of the attacker.
        let begun = Instant::now();
        assert_eq!(world.get("/healthz").status, 200);
        slowest = slowest.max(begun.elapsed());
    }
    assert!(
        slowest < SOON,
        "others waited {slowest:?} beside {} connections",
        held.len()
    );
}

/// Whether the server has ended a connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).expect("set");
    let mut rest = [0; 4_096];
    loop {
        match stream.read(&mut rest) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn connections_that_say_nothing_keep_nobody_waiting() {
    let world = World::new();
    for part in [b"".as_slice(), b"G", PART] {
        let mut held: Vec<TcpStream> = (0..1_100)
            .map(|_| {
                let mut stream = connect_from(ATTACKER, world.address);
                // It may be closed already, for a newer one.
                drop(stream.write_all(part));
                stream
            })
            .collect();
        others_are_served(&world, &held);
        let open = held
            .iter_mut()
            .filter_map(|stream| (!is_closed(stream)).then_some(()))
            .count();
        assert!(
            open <= 512,
            "{open} connections that do nothing are kept for one source"
        );
    }
    let figures = world.get("/metrics").text();
    let line = figures
        .lines()
        .find(|line| line.starts_with("pressluft_http_refused_total{reason=\"waited_longest\"}"))
        .expect("it is counted");
    let count: u32 = line
        .rsplit(' ')
        .next()
        .and_then(|text| text.parse().ok())
        .expect("a number");
    assert!(count >= 1_000, "{line}");
}

#[test]
fn heads_that_drip_keep_nobody_waiting_and_end() {
    let world = World::new();
    let mut held: Vec<TcpStream> = (0..1_100)
        .map(|_| connect_from(ATTACKER, world.address))
        .collect();
    let begun = Instant::now();
    let mut last_open = begun;
    while begun.elapsed() < Duration::from_secs(14) {
        let mut open = 0;
        for (n, stream) in held.iter_mut().enumerate() {
            let byte = PART
                .get(begun.elapsed().as_secs() as usize)
                .copied()
                .unwrap_or(b'x');
            if n % 2 == 0 {
                drop(stream.write_all(&[byte]));
            }
            open += u32::from(!is_closed(stream));
        }
        if open > 0 {
            last_open = Instant::now();
        }
        assert!(served(&world, OTHER, "/login") < SOON);
        std::thread::sleep(Duration::from_millis(500));
    }
    let took = last_open.duration_since(begun);
    assert!(
        took < Duration::from_secs(12),
        "some were kept for {took:?}"
    );
}

#[test]
fn idle_connections_keep_nobody_waiting() {
    let world = World::new();
    let ask = b"GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let begun = Instant::now();
    let held: Vec<TcpStream> = (0..1_100)
        .map(|_| {
            let mut stream = connect_from(ATTACKER, world.address);
            stream.write_all(ask).expect("sent");
            let mut start = [0; 12];
            stream
                .read_exact(&mut start)
                .expect("a request that is whole is answered");
            assert_eq!(&start, b"HTTP/1.1 200");
            stream
        })
        .collect();
    // Had any of them to wait for another to end, this would take ten seconds.
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    others_are_served(&world, &held);
}

#[test]
fn bodies_that_do_not_come_keep_nobody_waiting() {
    let world = World::with(&Setup {
        behind_proxy: true,
        ..Setup::default()
    });
    let head = |path: &str, more: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n{more}\
             X-Forwarded-For: 198.51.100.7\r\n\r\nx"
        )
    };
    let login = head("/api/login", "Content-Type: application/json\r\n");
    let hook = head(
        "/hooks/git",
        &format!("X-Gitea-Signature: {}\r\n", "0".repeat(64)),
    );
    let held: Vec<TcpStream> = (0..600)
        .flat_map(|_| [&login, &hook])
        .map(|text| {
            let mut stream = connect_from(ATTACKER, world.address);
            drop(stream.write_all(text.as_bytes()));
            stream
        })
        .collect();
    others_are_served(&world, &held);
    // Logins and webhooks of others go on, too.
    let from = |source: &str| {
        post(
            "/api/login",
            r#"{"user":"anna","password":"correct horse battery staple"}"#,
        )
        .json()
        .with("X-Forwarded-For", source)
        .send(world.address)
        .status
    };
    assert_eq!(from("203.0.113.9"), 200);
    let refused = post("/hooks/git", "{}")
        .with("X-Gitea-Signature", &"0".repeat(64))
        .with("X-Forwarded-For", "203.0.113.9")
        .send(world.address);
    assert_eq!(
        refused.status, 401,
        "a webhook of another source is looked at"
    );
}

#[test]
fn answers_that_nobody_reads_keep_nobody_waiting() {
    let mut world = World::with_fleet();
    let token = world.token();
    let ask =
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\n\r\n").repeat(50);
    let held: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = connect_from(ATTACKER, world.address);
            drop(stream.write_all(ask.as_bytes()));
            stream
        })
        .collect();
    others_are_served(&world, &held);
}

#[test]
fn one_party_cannot_have_all_streams() {
    use pressluft::core::job::JobType;
    let mut world = World::with_fleet();
    let one = crate::world::job(JobType::EnvConfigure, "env/acme/production", "web-1");
    world.queue(&[one], crate::world::FIRST);
    let claim = world.claim();
    let path = format!("/api/jobs/{}/events?stream", claim.job.id);
    let token = world.token();
    let open = |token: &str, count: usize| -> (Vec<TcpStream>, usize) {
        let mut kept = Vec::new();
        for _ in 0..count {
            let mut stream = connect(world.address);
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\n\r\n"
            )
            .expect("sent");
            let mut start = [0; 12];
            stream.read_exact(&mut start).expect("answered");
            match &start {
                b"HTTP/1.1 200" => kept.push(stream),
                other => assert_eq!(other, b"HTTP/1.1 429"),
            }
        }
        let count = kept.len();
        (kept, count)
    };
    let (_held, count) = open(&token, 300);
    assert_eq!(count, 256);
    let reply = get("/login").send(world.address);
    assert_eq!(reply.status, 200);
}
