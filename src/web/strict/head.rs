//! One head of a request, looked at line by line as it comes.

use super::refusal::Refusal;
use super::{LARGEST_HEAD, LONGEST_TARGET, MOST_HEADERS, target};

/// Bytes of the longest method.
const LONGEST_METHOD: usize = 16;
/// Bytes that a first line has besides its target.
const AROUND_TARGET: usize = LONGEST_METHOD + " ".len() + " HTTP/1.1\r\n".len();

/// Headers that say one thing, so that a second one could only be read differently.
const SINGLE: [&[u8]; 12] = [
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"expect",
    b"content-type",
    b"content-encoding",
    b"authorization",
    b"cookie",
    b"origin",
    b"referer",
    b"sec-fetch-site",
    b"last-event-id",
];
const HOST: usize = 0;
const LENGTH: usize = 1;
const ENCODING: usize = 2;
const EXPECT: usize = 3;

/// How far a head has been looked at.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Bytes that were looked at.
    seen: usize,
    /// Where the line begins that has no end yet.
    line: usize,
    lines: usize,
    is_get: bool,
    is_old: bool,
    /// Those of [`SINGLE`] that were there, by bit.
    single: u16,
    length: u64,
    is_chunked: bool,
}

/// What there is of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    More,
    /// All of it: its bytes, and those of the body that follows.
    Whole {
        head: usize,
        body: u64,
    },
}

impl Head {
    /// Looks at what has come of the head: `bytes` from its beginning on, and each time those
    /// that were looked at before.
    ///
    /// # Errors
    /// [`Refusal`] as soon as a line is wrong.
    pub(super) fn look(&mut self, bytes: &[u8]) -> Result<Look, Refusal> {
        // Somebody who speaks something else, such as TLS, may never send the end of a line.
        if bytes.first().is_some_and(|byte| !byte.is_ascii_uppercase()) {
            return Err(Refusal::RequestLine);
        }
        loop {
            let rest = bytes.get(self.seen..).unwrap_or_default();
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                // A CR that is the last byte may have its LF still to come.
                let fresh = self.seen.saturating_sub(1).max(self.line);
                let (_, fresh) = bytes.get(fresh..).and_then(<[u8]>::split_last).unzip();
                if fresh.is_some_and(|fresh| fresh.contains(&b'\r')) {
                    return Err(Refusal::LineEnd);
                }
                self.seen = bytes.len();
                self.look_at_part(bytes.get(self.line..).unwrap_or_default())?;
                return Ok(Look::More);
            };
            let end = self.seen + end;
            if end >= LARGEST_HEAD {
                return Err(Refusal::TooLarge);
            }
            let line = bytes
                .get(self.line..end)
                .and_then(|line| line.strip_suffix(b"\r"))
                .ok_or(Refusal::LineEnd)?;
            if line.contains(&b'\r') {
                return Err(Refusal::LineEnd);
            }
            self.seen = end + 1;
            self.line = self.seen;
            self.lines += 1;
            if self.lines == 1 {
                self.request_line(line)?;
            } else if line.is_empty() {
                let body = self.body()?;
                return Ok(Look::Whole {
                    head: self.seen,
                    body,
                });
            } else {
                self.header(line)?;
            }
        }
    }

    /// What can be said of a line before its end has come: that it is too long.
    fn look_at_part(&self, line: &[u8]) -> Result<(), Refusal> {
        if self.lines == 0 && line.len() > LONGEST_TARGET + AROUND_TARGET {
            return Err(Refusal::TargetTooLong);
        }
        if self.seen >= LARGEST_HEAD {
            return Err(Refusal::TooLarge);
        }
        Ok(())
    }

    fn request_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(method), Some(asked), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Refusal::RequestLine);
        };
        let is_method = (1..=LONGEST_METHOD).contains(&method.len())
            && method.iter().all(u8::is_ascii_uppercase);
        if !is_method {
            return Err(Refusal::Method);
        }
        if asked.len() > LONGEST_TARGET {
            return Err(Refusal::TargetTooLong);
        }
        if !target::is_plain(asked) {
            return Err(Refusal::Target);
        }
        self.is_old = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => return Err(Refusal::Version),
        };
        self.is_get = matches!(method, b"GET" | b"HEAD");
        Ok(())
    }

    fn header(&mut self, line: &[u8]) -> Result<(), Refusal> {
        // The first line is none.
        if self.lines > MOST_HEADERS + 1 {
            return Err(Refusal::TooManyHeaders);
        }
        if line.first().is_some_and(|byte| is_space(*byte)) {
            return Err(Refusal::Folded);
        }
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .ok_or(Refusal::HeaderName)?;
        let (name, value) = (&line[..colon], trimmed(&line[colon + 1..]));
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return Err(Refusal::HeaderName);
        }
        let is_text = value
            .iter()
            .all(|byte| is_space(*byte) || !byte.is_ascii_control());
        if !is_text || std::str::from_utf8(value).is_err() {
            return Err(Refusal::HeaderValue);
        }
        let Some(single) = SINGLE
            .iter()
            .position(|known| name.eq_ignore_ascii_case(known))
        else {
            return Ok(());
        };
        if self.single & (1 << single) != 0 {
            return Err(match single {
                HOST => Refusal::Host,
                LENGTH => Refusal::Length,
                ENCODING => Refusal::Encoding,
                _ => Refusal::Twice,
            });
        }
        self.single |= 1 << single;
        match single {
            HOST if !is_host(value) => Err(Refusal::Host),
            LENGTH => {
                self.length = length(value).ok_or(Refusal::Length)?;
                Ok(())
            }
            ENCODING => {
                self.is_chunked = value.eq_ignore_ascii_case(b"chunked");
                Ok(())
            }
            EXPECT if !value.eq_ignore_ascii_case(b"100-continue") => Err(Refusal::Expectation),
            _ => Ok(()),
        }
    }

    /// Bytes of the body, once all headers are known.
    fn body(&self) -> Result<u64, Refusal> {
        let has = |single: usize| self.single & (1 << single) != 0;
        if !has(HOST) {
            return Err(Refusal::Host);
        }
        if has(ENCODING) {
            // Chunks say their sizes in the middle of the body, in ways that many read
            // differently. Nothing that has a place to send to needs them.
            let is_fine = self.is_chunked && !has(LENGTH) && !self.is_old;
            return Err(if is_fine {
                Refusal::NoLength
            } else {
                Refusal::Encoding
            });
        }
        if self.is_get && self.length > 0 {
            return Err(Refusal::Body);
        }
        Ok(self.length)
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// A value without the space around it: not every space of ASCII is one here.
fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = value
        && is_space(*first)
    {
        value = rest;
    }
    while let [rest @ .., last] = value
        && is_space(*last)
    {
        value = rest;
    }
    value
}

/// What a name may be made of, by RFC 9110.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A name or an address, with or without a port.
fn is_host(value: &[u8]) -> bool {
    !value.is_empty()
        && value
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(byte))
}

/// One number, without sign, list, or zeros in front.
fn length(value: &[u8]) -> Option<u64> {
    let is_number = value.iter().all(u8::is_ascii_digit)
        && (value.len() == 1 || value.first().is_some_and(|digit| *digit != b'0'));
    is_number
        .then(|| std::str::from_utf8(value).ok()?.parse().ok())
        .flatten()
}
