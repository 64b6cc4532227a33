//! How long a login has to wait after logins that failed.
//!
//! Failures are counted for an account from one source, and for a source with whatever account,
//! so that nobody can lock out somebody who comes from elsewhere.

use jiff::SignedDuration;

/// Failures after which a count begins anew.
pub const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// The span in which the failures of everybody together are counted.
pub const PRESSURE_SPAN: SignedDuration = SignedDuration::from_secs(60);

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Failures for one account from one source.
    Account,
    /// Failures from one source, for any account.
    Source,
}

/// How long after the last of `failures` the next login is looked at.
#[must_use]
pub fn wait(counted: Counted, failures: u32) -> SignedDuration {
    let (free, longest) = match counted {
        Counted::Account => (5, SignedDuration::from_mins(15)),
        // Shorter: several people may share an address.
        Counted::Source => (20, SignedDuration::from_mins(1)),
    };
    if failures < free {
        return SignedDuration::ZERO;
    }
    let seconds = 2_i64.saturating_pow((failures - free).min(20));
    SignedDuration::from_secs(seconds).min(longest)
}

/// How much longer every login takes after `failures` of everybody within [`PRESSURE_SPAN`].
#[must_use]
pub fn slow_down(failures: u32) -> SignedDuration {
    let above = i64::from(failures.saturating_sub(60));
    SignedDuration::from_millis((above * 20).min(2_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end() {
        let seconds = |counted, failures| wait(counted, failures).as_secs();
        assert_eq!(seconds(Counted::Account, 4), 0);
        assert_eq!(seconds(Counted::Account, 5), 1);
        assert_eq!(seconds(Counted::Account, 8), 8);
        assert_eq!(seconds(Counted::Account, u32::MAX), 900);
        assert_eq!(seconds(Counted::Source, 19), 0);
        assert_eq!(seconds(Counted::Source, u32::MAX), 60);
    }

    #[test]
    fn a_flood_makes_everybody_wait_a_little_and_nobody_long() {
        assert_eq!(slow_down(60), SignedDuration::ZERO);
        assert_eq!(slow_down(61).as_millis(), 20);
        assert_eq!(slow_down(u32::MAX).as_millis(), 2_000);
    }
}
