//! Taking known secrets out of text that a tool or a node printed.
//!
//! A secret is found as it is and in the spellings that tools give it. One that a tool cut,
//! wrapped over lines or encoded in another way is not found: this is the second line of
//! defence, `no_log` and files of mode 0600 are the first.

use std::borrow::Cow;
use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use data_encoding::{BASE64, BASE64URL, HEXLOWER};

/// What stands in the place of a secret.
pub const MASK: &str = "(sensitive)";

/// Shorter texts are left alone: they occur everywhere by chance.
const SHORTEST: usize = 4;
/// Lines of a longer secret are looked for one by one when they have this many bytes.
const SHORTEST_LINE: usize = 12;

/// Finds a fixed set of secrets in texts.
#[expect(missing_debug_implementations, reason = "it holds secrets")]
pub struct Redactor {
    /// None without anything to look for.
    search: Option<AhoCorasick>,
    longest: usize,
}

impl Redactor {
    /// A redactor of these values; those with less than four bytes are left alone.
    #[must_use]
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut spellings = BTreeSet::new();
        for value in values {
            add_spellings(value, &mut spellings);
            if value.trim_end() != value {
                add_spellings(value.trim_end(), &mut spellings);
            }
            if value.contains('\n') {
                for line in value.lines().filter(|line| line.len() >= SHORTEST_LINE) {
                    add_spellings(line, &mut spellings);
                }
            }
        }
        spellings.retain(|spelling| spelling.len() >= SHORTEST);
        let longest = spellings.iter().map(String::len).max().unwrap_or(0);
        let search = (!spellings.is_empty()).then(|| {
            AhoCorasick::builder()
                // One is made for each job, and searching is rare: the faster automaton would
                // take milliseconds and megabytes to build.
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .match_kind(MatchKind::LeftmostLongest)
                .build(&spellings)
        });
        // Building fails for billions of bytes of patterns only; then everything is masked.
        match search {
            None => Self {
                search: None,
                longest,
            },
            Some(Ok(search)) => Self {
                search: Some(search),
                longest,
            },
            Some(Err(_)) => Self {
                search: AhoCorasick::new([""]).ok(),
                longest,
            },
        }
    }

    /// The text with every known secret replaced by [`MASK`].
    #[must_use]
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match &self.search {
            Some(search) if search.is_match(text) => {
                let mut clean = String::with_capacity(text.len());
                search.replace_all_with(text, &mut clean, |_, _, clean| {
                    clean.push_str(MASK);
                    true
                });
                Cow::Owned(clean)
            }
            Some(_) | None => Cow::Borrowed(text),
        }
    }

    /// A stream of bytes in which secrets may be cut anywhere by its chunks.
    #[must_use]
    pub fn stream(&self) -> RedactingStream<'_> {
        RedactingStream {
            redactor: self,
            pending: Vec::new(),
        }
    }
}

/// Bytes that arrive in chunks; see [`Redactor::stream`].
#[expect(
    missing_debug_implementations,
    reason = "it holds what is not redacted yet"
)]
pub struct RedactingStream<'a> {
    redactor: &'a Redactor,
    /// The end of what came in: a secret may have begun in it.
    pending: Vec<u8>,
}

impl RedactingStream<'_> {
    /// Takes a chunk in; what can go out by now.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        self.pending.extend_from_slice(chunk);
        // Whatever begins before this place has all of its bytes here.
        let safe = self
            .pending
            .len()
            .saturating_sub(self.redactor.longest.saturating_sub(1));
        self.take(safe)
    }

    /// The rest, at the end of the stream.
    pub fn finish(mut self) -> Vec<u8> {
        self.take(self.pending.len())
    }

    fn take(&mut self, safe: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(safe);
        let mut done = 0;
        if let Some(search) = &self.redactor.search {
            for found in search.find_iter(&self.pending) {
                if found.start() >= safe {
                    break;
                }
                out.extend_from_slice(&self.pending[done..found.start()]);
                out.extend_from_slice(MASK.as_bytes());
                done = found.end();
            }
        }
        if done < safe {
            out.extend_from_slice(&self.pending[done..safe]);
            done = safe;
        }
        self.pending.drain(..done);
        out
    }
}

fn add_spellings(value: &str, spellings: &mut BTreeSet<String>) {
    if value.len() < SHORTEST {
        return;
    }
    let bytes = value.as_bytes();
    let json = serde_json::Value::from(value).to_string();
    let json = json[1..json.len() - 1].to_owned();
    let ascii_json = escape_non_ascii(&json);
    let python = value
        .replace('\\', "\\\\")
        .replace('\'', "\\'")
        .replace('\n', "\\n");
    let trimmed = |text: String| text.trim_end_matches('=').to_owned();
    spellings.extend([
        value.to_owned(),
        trimmed(BASE64.encode(bytes)),
        trimmed(BASE64URL.encode(bytes)),
        HEXLOWER.encode(bytes),
        // JSON inside of JSON: a module's arguments in a log line.
        json.replace('\\', "\\\\").replace('"', "\\\""),
        json.replace('/', "\\/"),
        json,
        ascii_json,
        python,
        value.replace('\'', r"'\''"),
        value.replace('\'', r#"'"'"'"#),
        backslashed(value),
        html(value),
    ]);
    for keep in [&b"-._~"[..], b"-._~/", b"-._~!*'()"] {
        let encoded = percent(bytes, keep, false);
        spellings.insert(percent(bytes, keep, true));
        spellings.insert(encoded.replace("%20", "+"));
        spellings.insert(encoded);
    }
}

fn percent(bytes: &[u8], keep: &[u8], lower: bool) -> String {
    let mut text = String::new();
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || keep.contains(byte) {
            text.push(char::from(*byte));
        } else if lower {
            text.push_str(&format!("%{byte:02x}"));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// As `printf %q` and shells' traces write it.
fn backslashed(value: &str) -> String {
    let mut text = String::new();
    for c in value.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && !"_-./:=@%+,".contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

fn html(value: &str) -> String {
    value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}

/// As Python's `json` writes it by default.
fn escape_non_ascii(json: &str) -> String {
    let mut text = String::new();
    for c in json.chars() {
        if c.is_ascii() {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = r#"p"ä's$ /w&x"#;

    #[test]
    fn every_spelling_of_a_secret_is_masked() {
        let redactor = Redactor::new([VALUE]);
        for spelling in [
            r#"p"ä's$ /w&x"#,
            r#"p\"ä's$ /w&x"#,
            r#"p\"\u00e4's$ /w&x"#,
            r#"p"ä'\''s$ /w&x"#,
            r#"p\"ä\'s\$\ /w\&x"#,
            "cCLDpCdzJCAvdyZ4",
            "p%22%C3%A4%27s%24%20%2Fw%26x",
            "p%22%c3%a4%27s%24%20%2fw%26x",
            "p%22%C3%A4%27s%24+%2Fw%26x",
            "p&#34;ä&#39;s$ /w&amp;x",
        ] {
            let text = format!("a {spelling} b");
            assert_eq!(redactor.redact(&text), "a (sensitive) b", "{spelling}");
        }
    }

    #[test]
    fn short_values_and_other_texts_are_left_alone() {
        let redactor = Redactor::new(["abc", "", "s3cret-value"]);
        assert_eq!(
            redactor.redact("abc of a secret value"),
            "abc of a secret value"
        );
        assert_eq!(Redactor::new([]).redact("x"), "x");
    }

    #[test]
    fn the_lines_of_a_key_are_masked_one_by_one() {
        let redactor = Redactor::new(["-----BEGIN KEY-----\nb3BlbnNzaC1rZXktdjEAAA\nAAAA\n"]);
        assert_eq!(
            redactor.redact("x b3BlbnNzaC1rZXktdjEAAA y"),
            "x (sensitive) y"
        );
    }

    #[test]
    fn a_secret_that_two_chunks_share_is_masked() {
        let redactor = Redactor::new(["hunter22", "hunter22-and-more"]);
        let text = b"one hunter22 two hunter22-and-more three hunter2";
        for cut in 0..text.len() {
            let mut stream = redactor.stream();
            let mut out = stream.push(&text[..cut]);
            out.extend(stream.push(&text[cut..]));
            out.extend(stream.finish());
            let expected = "one (sensitive) two (sensitive) three hunter2";
            assert_eq!(
                String::from_utf8(out).expect("text"),
                expected,
                "cut at {cut}"
            );
        }
    }
}
