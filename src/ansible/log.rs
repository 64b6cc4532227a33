//! What Ansible prints, in bounded memory: the beginning and the end, whole lines only.

/// Bytes that are kept of the beginning, and as many of the end.
const HALF: usize = 512 * 1024;

/// The beginning and the end of a stream.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    head: Vec<u8>,
    tail: Vec<u8>,
    dropped: usize,
}

impl Transcript {
    /// Adds what was read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = HALF - self.head.len().min(HALF);
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        self.tail.extend_from_slice(rest);
        // Twice the size before it is cut, so that the cost per byte stays constant.
        if self.tail.len() > 2 * HALF {
            let excess = self.tail.len() - HALF;
            self.tail.drain(..excess);
            self.dropped += excess;
        }
    }

    /// The kept text. At a cut, incomplete lines are left out: half a secret would not be
    /// recognised and removed.
    pub(super) fn text(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if self.dropped == 0 {
            return text(&[self.head.as_slice(), self.tail.as_slice()].concat());
        }
        let head_end = self
            .head
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let tail_start = self
            .tail
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(self.tail.len(), |at| at + 1);
        let dropped = self.dropped + (self.head.len() - head_end) + tail_start;
        format!(
            "{}[{dropped} bytes left out]\n{}",
            text(&self.head[..head_end]),
            text(&self.tail[tail_start..])
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_output_is_kept_as_it_is() {
        let mut transcript = Transcript::default();
        transcript.push(b"one\n");
        transcript.push("zwei ä".as_bytes());
        assert_eq!(transcript.text(), "one\nzwei ä");
    }

    #[test]
    fn long_output_keeps_both_ends_and_whole_lines() {
        let mut transcript = Transcript::default();
        for number in 0..600_000 {
            transcript.push(format!("line {number}\n").as_bytes());
        }
        let text = transcript.text();
        assert!(text.len() <= 3 * HALF + 64);
        assert!(text.starts_with("line 0\n") && text.ends_with("line 599999\n"));
        assert!(text.contains(" bytes left out]\n"));
        assert!(
            text.lines()
                .all(|line| line.starts_with("line ") || line.starts_with('['))
        );
    }

    #[test]
    fn one_endless_line_leaves_nothing_of_itself() {
        let mut transcript = Transcript::default();
        for _ in 0..64 {
            transcript.push(&[b'x'; 64 * 1024]);
        }
        assert!(!transcript.text().contains('x'));
    }
}
