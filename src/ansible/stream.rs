//! Reads lines from a pipe in bounded memory.

use std::io::{self, Read};

/// A line longer than this is not kept; our callback plugin writes at most half of it.
pub(super) const LONGEST_LINE: usize = 128 * 1024;

/// One line, or how long it was when it was too long to keep.
pub(super) enum Line<'a> {
    Whole(&'a [u8]),
    TooLong(usize),
}

/// Calls `take` with each line until the end or until `take` returns false.
pub(super) fn read_lines(
    mut source: impl Read,
    mut take: impl FnMut(Line<'_>) -> bool,
) -> io::Result<()> {
    let mut chunk = vec![0; 64 * 1024];
    let mut line = Vec::new();
    // Bytes of the present line that were not kept.
    let mut excess = 0;
    loop {
        let count = match source.read(&mut chunk) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for piece in chunk[..count].split_inclusive(|byte| *byte == b'\n') {
            let (piece, ends) = match piece.split_last() {
                Some((b'\n', rest)) => (rest, true),
                _ => (piece, false),
            };
            if excess > 0 || line.len() + piece.len() > LONGEST_LINE {
                excess += piece.len();
            } else {
                line.extend_from_slice(piece);
            }
            if ends && !finish(&mut line, &mut excess, &mut take) {
                return Ok(());
            }
        }
        if count == 0 {
            if !line.is_empty() || excess > 0 {
                finish(&mut line, &mut excess, &mut take);
            }
            return Ok(());
        }
    }
}

fn finish(line: &mut Vec<u8>, excess: &mut usize, take: &mut impl FnMut(Line<'_>) -> bool) -> bool {
    let goes_on = if *excess > 0 {
        take(Line::TooLong(line.len() + *excess))
    } else if line.is_empty() {
        true
    } else {
        take(Line::Whole(line))
    };
    line.clear();
    *excess = 0;
    goes_on
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(source: &[u8]) -> Vec<Result<String, usize>> {
        let mut lines = Vec::new();
        read_lines(source, |line| {
            lines.push(match line {
                Line::Whole(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
                Line::TooLong(length) => Err(length),
            });
            true
        })
        .expect("memory does not fail");
        lines
    }

    #[test]
    fn a_too_long_line_is_counted_and_the_next_one_read() {
        let mut source = vec![b'x'; LONGEST_LINE + 70_000];
        source.extend_from_slice(b"\n\nnext\nlast");
        let expected = [
            Err(LONGEST_LINE + 70_000),
            Ok("next".to_owned()),
            Ok("last".to_owned()),
        ];
        assert_eq!(lines(&source), expected);
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_whole() {
        let mut source = vec![b'x'; LONGEST_LINE];
        source.push(b'\n');
        assert!(matches!(lines(&source).as_slice(), [Ok(line)] if line.len() == LONGEST_LINE));
    }
}
