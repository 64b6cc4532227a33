//! Whether a node answers: a connection and the first words of its SSH server, no more.

use std::io::Read;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// How long one address may take to accept a connection, and to say something.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// How many addresses of a name are tried.
const ADDRESSES: usize = 4;
/// A server may say something else before its greeting, but not much.
const LONGEST: usize = 8 * 1024;

/// Whether an SSH server greets at this address. Takes a few seconds at most, besides looking
/// up a name.
pub(super) fn answers(host: &str, port: u16) -> bool {
    let Ok(addresses) = (host, port).to_socket_addrs() else {
        return false;
    };
    addresses
        .take(ADDRESSES)
        .any(|address| TcpStream::connect_timeout(&address, PATIENCE).is_ok_and(greets))
}

fn greets(mut stream: TcpStream) -> bool {
    let deadline = Instant::now() + PATIENCE;
    let mut said = Vec::new();
    let mut buffer = [0; 512];
    while said.len() < LONGEST {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return false;
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return false,
            Ok(count) => said.extend_from_slice(&buffer[..count]),
        }
        let is_greeting = |line: &[u8]| line.starts_with(b"SSH-");
        if said.split(|byte| *byte == b'\n').any(is_greeting) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A server that says this to the first who connects.
    fn server(words: &'static [u8]) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("bound").port();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a guest");
            stream.write_all(words).expect("written");
        });
        port
    }

    #[test]
    fn only_an_ssh_server_is_an_answer() {
        assert!(answers("127.0.0.1", server(b"SSH-2.0-OpenSSH_9.2p1\r\n")));
        assert!(answers("127.0.0.1", server(b"welcome\r\nSSH-2.0-x\r\n")));
        assert!(!answers(
            "127.0.0.1",
            server(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        ));
        let closed = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = closed.local_addr().expect("bound").port();
        drop(closed);
        assert!(!answers("127.0.0.1", port));
    }
}
