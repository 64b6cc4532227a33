//! What may be asked for: a path of this endpoint and a query, in plain characters.

/// Where the id of a resource may stand with its slashes written as numbers.
const IDS: [&[u8]; 3] = [b"/api/nodes/", b"/api/sites/", b"/api/environments/"];

/// Whether a target is a path that can be read in one way only, with or without a query.
///
/// There is no host in it, no empty part, no `.` or `..`, written out or as numbers, and no
/// number that stands for a slash (but in ids), a control character or broken UTF-8.
pub(super) fn is_plain(target: &[u8]) -> bool {
    let (path, query) = match target.iter().position(|byte| *byte == b'?') {
        Some(at) => (&target[..at], &target[at + 1..]),
        None => (target, &target[target.len()..]),
    };
    let Some(parts) = path.strip_prefix(b"/") else {
        return false;
    };
    let has_ids = IDS.iter().any(|known| path.starts_with(known));
    let is_path = path == b"/"
        || parts
            .split(|byte| *byte == b'/')
            .all(|part| is_part(part, has_ids));
    is_path
        && decoded(query, |byte| {
            is_plain_byte(byte) || matches!(byte, b'/' | b'?')
        })
        .is_some()
}

/// Whether it names something between two slashes.
fn is_part(part: &[u8], may_have_slash: bool) -> bool {
    let Some(text) = decoded(part, is_plain_byte) else {
        return false;
    };
    if text.contains(&b'\\') || (text.contains(&b'/') && !may_have_slash) {
        return false;
    }
    text.split(|byte| *byte == b'/')
        .all(|name| !matches!(name, b"" | b"." | b".."))
}

/// The bytes that a text stands for; none when it has others than `allowed`, a percent sign
/// without its two digits, a control character, or is not UTF-8.
fn decoded(text: &[u8], allowed: impl Fn(u8) -> bool) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => digit(rest.next()?)? << 4 | digit(rest.next()?)?,
            plain if allowed(plain) => plain,
            _ => return None,
        };
        if byte.is_ascii_control() {
            return None;
        }
        bytes.push(byte);
    }
    std::str::from_utf8(&bytes).is_ok().then_some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// What RFC 3986 lets stand in a part of a path as it is.
fn is_plain_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_in_one_way_only() {
        for good in [
            "/",
            "/?after=x",
            "/jobs",
            "/jobs?resource=env%2Facme%2Fproduction&cursor=a-_b",
            "/api/environments/env%2Facme%2Fproduction",
            "/api/nodes/node%2fweb-1",
            "/login?next=/jobs",
            "/sites/%C3%A9",
            "/a..b/...",
            "/jobs?",
        ] {
            assert!(is_plain(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "*",
            "jobs",
            "http://localhost/jobs",
            "localhost:80",
            "//jobs",
            "/jobs/",
            "/api//jobs",
            "/./jobs",
            "/assets/../jobs",
            "/assets/..",
            "/assets/%2e%2e/jobs",
            "/assets/.%2E",
            "/assets/..%2fjobs",
            "/assets/a%2fb",
            "/api/environments/env%2F..%2Fproduction",
            "/api/environments/env%2F%2Fproduction",
            "/jobs%00",
            "/jobs%0a",
            "/jobs%7f",
            "/jobs%",
            "/jobs%4",
            "/jobs%zz",
            "/jobs%+1",
            "/jobs%ff",
            "/jobs%c0%af",
            "/jobs\\x",
            "/jobs%5cx",
            "/jobs#x",
            "/jobs\"",
            "/jobs<",
            "/jobs|",
            "/jobs?a=\u{e9}",
            "/jobs?a=%00",
            "/jobs?a=%ff",
            "/jobs?a=#",
            "/jobs?a=[",
            "/j obs",
            "/jobs\t",
            "/\u{e9}",
        ] {
            assert!(!is_plain(bad.as_bytes()), "{bad}");
        }
    }
}
