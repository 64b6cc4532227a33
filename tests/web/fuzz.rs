//! Twenty thousand heads with something wrong, or not: none that is malformed is answered well, and
//! the endpoint lives.

use std::io::{Read, Write};
use std::net::SocketAddr;

use crate::client::connect;
use crate::world::World;

const HEADS: u32 = 20_000;
const THREADS: u32 = 4;

/// Numbers that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("small")
    }

    fn one<'a>(&mut self, of: &[&'a [u8]]) -> &'a [u8] {
        of[self.below(of.len())]
    }
}

const LINES: [&[u8]; 8] = [
    b"GET /login HTTP/1.1\r\n",
    b"GET /login?next=/jobs HTTP/1.1\r\n",
    b"HEAD /login HTTP/1.0\r\n",
    b"GET /healthz HTTP/1.1\r\n",
    b"GET / HTTP/1.1\r\n",
    b"POST /api/login HTTP/1.1\r\n",
    b"GET /assets/x HTTP/1.1\r\n",
    b"GET /api/environments/env%2Fa%2Fb HTTP/1.1\r\n",
];

const HEADERS: [&[u8]; 10] = [
    b"Accept: text/html\r\n",
    b"User-Agent: x/1 (y; z)\r\n",
    b"Content-Type: application/json\r\n",
    b"Content-Length: 0\r\n",
    b"X-Empty:\r\n",
    b"Cookie: a=b; session_token=c\r\n",
    b"If-None-Match: *\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Authorization: Bearer x\r\n",
    b"X-Forwarded-For: 192.0.2.1\r\n",
];

const PIECES: [&[u8]; 24] = [
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b"/",
    b"..",
    b"%2e%2e",
    b"%00",
    b"%",
    b"%2f",
    b"?",
    b"&a=b",
    b"#",
    b"\xff",
    b"\xc3\xa9",
    b"\x7f",
    b"\x0c",
    b"Host: evil.example\r\n",
    b"Content-Length: 1\r\n",
    b" HTTP/1.1",
    b"\x1b",
];

fn head(numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = numbers.one(&LINES).to_vec();
    bytes.extend_from_slice(b"Host: localhost\r\n");
    for _ in 0..numbers.below(4) {
        bytes.extend_from_slice(numbers.one(&HEADERS));
    }
    bytes.extend_from_slice(b"Connection: close\r\n\r\n");
    for _ in 0..numbers.below(4) {
        let at = numbers.below(bytes.len());
        match numbers.below(4) {
            0 => drop(bytes.splice(at..at, numbers.one(&PIECES).iter().copied())),
            1 => drop(bytes.splice(at..=at, numbers.one(&PIECES).iter().copied())),
            2 => drop(bytes.remove(at)),
            _ => bytes[at] = u8::try_from(numbers.below(256)).expect("a byte"),
        }
    }
    // Whatever became of it, it ends.
    bytes.extend_from_slice(b"\r\n\r\n");
    bytes
}

/// Whether RFC 9112 and the endpoint's own rules let this be a head, read in another way than the
/// endpoint does: as one text, from its whole.
fn is_sound(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let Ok(head) = std::str::from_utf8(&bytes[..end]) else {
        return false;
    };
    let mut lines = head.split("\r\n");
    let first: Vec<&str> = lines.next().unwrap_or("").split(' ').collect();
    let [method, target, "HTTP/1.1" | "HTTP/1.0"] = first[..] else {
        return false;
    };
    let is_word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_uppercase());
    let (path, _) = target.split_once('?').unwrap_or((target, ""));
    let lower = path.to_lowercase().replace("%2e", ".");
    let is_target = target.starts_with('/')
        && target
            .chars()
            .all(|c| c.is_ascii_graphic() && !"\"#<>\\^`{|}[]".contains(c))
        && !target.to_lowercase().contains("%00")
        && (path == "/"
            || !lower[1..]
                .split('/')
                .any(|part| matches!(part, "" | "." | "..")));
    let mut names: Vec<String> = Vec::new();
    let are_headers = lines.all(|line| {
        let Some((name, value)) = line.split_once(':') else {
            return false;
        };
        names.push(name.to_lowercase());
        let is_name = !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_graphic() && !"\"(),/:;<=>?@[\\]{}".contains(c));
        is_name && value.chars().all(|c| c == '\t' || !c.is_ascii_control())
    });
    let count = |name: &str| names.iter().filter(|known| *known == name).count();
    is_word(method)
        && is_target
        && are_headers
        && count("host") == 1
        && count("content-length") <= 1
        && count("transfer-encoding") == 0
}

/// The statuses that came back, until the connection ended.
fn statuses(to: SocketAddr, bytes: &[u8]) -> Vec<u16> {
    let mut stream = connect(to);
    drop(stream.write_all(bytes));
    drop(stream.shutdown(std::net::Shutdown::Write));
    let mut raw = Vec::new();
    drop(stream.read_to_end(&mut raw));
    String::from_utf8_lossy(&raw)
        .split("HTTP/1.1 ")
        .skip(1)
        .filter_map(|answer| answer.get(..3)?.parse().ok())
        .collect()
}

#[test]
fn no_malformed_head_is_ever_answered_well() {
    let world = World::new();
    let address = world.address;
    let counted: Vec<[u32; 3]> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    let mut numbers = Numbers(0x9e37_79b9 * u64::from(thread));
                    let [mut good, mut refused, mut silent] = [0; 3];
                    for _ in 0..HEADS / THREADS {
                        let bytes = head(&mut numbers);
                        let answers = statuses(address, &bytes);
                        match answers.first() {
                            Some(status) if *status < 400 => {
                                let text = String::from_utf8_lossy(&bytes);
                                assert!(is_sound(&bytes), "{status} for {text:?}");
                                good += 1;
                            }
                            Some(status) => {
                                assert!(
                                    *status < 500,
                                    "{status} for {:?}",
                                    String::from_utf8_lossy(&bytes)
                                );
                                refused += 1;
                            }
                            None => silent += 1,
                        }
                    }
                    [good, refused, silent]
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    let sum = |n: usize| counted.iter().map(|counts| counts[n]).sum::<u32>();
    let (good, refused, silent) = (sum(0), sum(1), sum(2));
    assert_eq!(good + refused + silent, HEADS);
    assert!(
        good > HEADS / 20,
        "{good} good, {refused} refused, {silent} not answered"
    );
    assert!(
        refused > HEADS / 4,
        "{good} good, {refused} refused, {silent} not answered"
    );
    assert_eq!(world.get("/healthz").status, 200);
}
