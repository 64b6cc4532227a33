//! What may reach the parser at all: heads of requests that can be read in one way only.
//!
//! hyper forgives what others read differently: a bare LF as the end of a line, space before a
//! colon, lengths that are said twice. Two programs that read the same bytes differently are how
//! a request is smuggled past the one in front. So each head is looked at here, byte by byte,
//! before hyper is handed it, and its body is counted, so that the next head is known to be one.

mod gate;
mod head;
mod refusal;
mod target;
#[cfg(test)]
mod tests;

pub(super) use gate::Gate;
pub(super) use refusal::Refusal;

/// Bytes of the largest head.
const LARGEST_HEAD: usize = 16 * 1_024;
/// Headers that a request may have.
const MOST_HEADERS: usize = 64;
/// Bytes of the longest target.
const LONGEST_TARGET: usize = 4 * 1_024;
