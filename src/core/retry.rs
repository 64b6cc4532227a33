//! What follows a failed attempt. Randomness enters as a value, a number from 0 to 1.

use jiff::SignedDuration;

use super::job::ErrorCode;
use super::outcome::is_retryable;

/// How often a job is tried where nothing else is asked for: at once, and after each of the waits.
pub const MAX_ATTEMPTS: u32 = 4;

/// How often what runs a job may end before the job does. It says little about the job, for a
/// deployment or an operator ends it too, so it spends no attempt; but a job that brings it about
/// must not do so for ever.
pub const MAX_INTERRUPTIONS: u32 = 5;

/// How long a job waits after its first, second, … interruption. What was cut off with it has time
/// to end well before it is tried again.
const PAUSES: [SignedDuration; 4] = [
    SignedDuration::ZERO,
    SignedDuration::from_secs(16),
    SignedDuration::from_secs(64),
    SignedDuration::from_secs(320),
];

/// How long a job waits after its first, its second and every later attempt that failed.
const WAITS: [SignedDuration; 3] = [
    SignedDuration::from_secs(60),
    SignedDuration::from_secs(5 * 60),
    SignedDuration::from_secs(15 * 60),
];

/// How much longer a wait may become by chance: jobs that failed together are not tried again
/// together.
const JITTER: f64 = 0.2;

/// No attempt is planned further ahead than this; where one is, a clock was set back since.
pub const FARTHEST_ATTEMPT: SignedDuration = SignedDuration::from_mins(20);

/// The shortest and the longest time between two looks at a node that does not answer.
const PROBES: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(2), SignedDuration::from_secs(300));

/// What becomes of a job after an attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It has failed.
    GiveUp,
    /// It is tried again after this long.
    Retry(SignedDuration),
    /// Its node does not answer. It waits for the node and has spent no attempt.
    Park,
}

/// What follows an attempt that failed with `code`; `spent` counts it, from 1.
#[must_use]
pub fn next(code: ErrorCode, spent: u32, max_attempts: u32, random: f64) -> Next {
    if code == ErrorCode::AnsibleHostUnreachable {
        return Next::Park;
    }
    if !is_retryable(code) || spent >= max_attempts {
        return Next::GiveUp;
    }
    let index = usize::try_from(spent.saturating_sub(1)).unwrap_or(usize::MAX);
    let wait = WAITS[index.min(WAITS.len() - 1)];
    Next::Retry(stretched(wait, random))
}

/// How long a job waits that was interrupted for the `count`th time, from 1, or none when that was
/// once too often. Jobs that were cut off together come back one after the other: `token` is that
/// of the attempt.
#[must_use]
pub fn pause(count: u32, token: u64) -> Option<SignedDuration> {
    if count >= MAX_INTERRUPTIONS {
        return None;
    }
    let index = usize::try_from(count.saturating_sub(1)).unwrap_or(usize::MAX);
    let wait = PAUSES[index.min(PAUSES.len() - 1)];
    let turn = i32::try_from(token % 8).unwrap_or(0);
    Some(wait + wait * turn / 8)
}

/// How long to wait before the next look at a node that has not answered for `away`, and that
/// `attempts` jobs in a row could not reach although it had answered a look.
///
/// A sixtieth of the time that it is away: who is back after three minutes is seen within
/// three seconds, who is away for days is asked twelve times an hour.
#[must_use]
pub fn probe_wait(away: SignedDuration, attempts: u32, random: f64) -> SignedDuration {
    let (shortest, longest) = PROBES;
    let doubled = shortest * 2_i32.saturating_pow(attempts.clamp(1, 10) - 1);
    stretched((away / 60).max(doubled).clamp(shortest, longest), random)
}

/// What becomes of a resource whose job failed for good, as long as nobody asks for another try
/// and no newer commit wants something else of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It is planned again after this long.
    After(SignedDuration),
    /// It is left alone: what failed would fail again.
    Never,
}

/// How long a resource is left alone after its first, second, … failure in a row.
const ROUNDS: [SignedDuration; 4] = [
    SignedDuration::from_mins(10),
    SignedDuration::from_mins(30),
    SignedDuration::from_hours(2),
    SignedDuration::from_hours(6),
];

/// What follows the end of a job that made or checked a resource, the one with number `failures`
/// in a row for the same wish, from 1.
///
/// A form that has proven unhealthy is not tried twice, nor is what somebody cancelled.
#[must_use]
pub fn again(code: ErrorCode, failures: u32, random: f64) -> Again {
    if matches!(
        code,
        ErrorCode::HealthCheckFailed | ErrorCode::CancelledByUser
    ) {
        return Again::Never;
    }
    let round = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    match ROUNDS.get(round) {
        Some(wait) => Again::After(stretched(*wait, random)),
        None => Again::Never,
    }
}

/// How long to wait before the fleet repo is looked for again that could not be reached
/// `failures` times in a row: its interval, doubled with each of them, at most ten minutes or the
/// interval itself.
#[must_use]
pub fn fetch_wait(interval: SignedDuration, failures: u32, random: f64) -> SignedDuration {
    let doubled = interval
        .checked_mul(2_i32.saturating_pow(failures.clamp(1, 16) - 1))
        .unwrap_or(SignedDuration::MAX);
    let longest = interval.max(SignedDuration::from_mins(10));
    stretched(doubled.min(longest), random)
}

fn stretched(wait: SignedDuration, random: f64) -> SignedDuration {
    let seconds = wait.as_secs_f64() * (1.0 + JITTER * random.clamp(0.0, 1.0));
    SignedDuration::try_from_secs_f64(seconds).unwrap_or(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(next: Next) -> i64 {
        match next {
            Next::Retry(wait) => wait.as_secs(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn waits_grow_and_attempts_end() {
        let next = |spent, max, random| next(ErrorCode::AnsibleHostFailed, spent, max, random);
        assert_eq!(seconds(next(1, 3, 0.0)), 60);
        assert_eq!(seconds(next(2, 3, 0.0)), 300);
        assert_eq!(next(3, 3, 0.0), Next::GiveUp);
        assert_eq!(seconds(next(3, 9, 0.0)), 900);
        assert_eq!(seconds(next(8, 9, 0.0)), 900);
        assert_eq!(seconds(next(1, 3, 1.0)), 72);
    }

    #[test]
    fn what_nobody_mends_by_waiting_is_not_tried_again() {
        assert_eq!(next(ErrorCode::SshAuthFailed, 1, 3, 0.5), Next::GiveUp);
        assert_eq!(
            next(ErrorCode::AnsibleHostUnreachable, 9, 3, 0.5),
            Next::Park
        );
    }

    #[test]
    fn a_job_that_is_interrupted_again_and_again_waits_longer_and_ends() {
        let seconds = |count, token| pause(count, token).map(|wait| wait.as_secs());
        let waits: Vec<Option<i64>> = (1..=5).map(|count| seconds(count, 8)).collect();
        assert_eq!(waits, [Some(0), Some(16), Some(64), Some(320), None]);
        assert_eq!(seconds(u32::MAX, 8), None);
        assert_eq!([seconds(3, 9), seconds(3, 15)], [Some(72), Some(120)]);
    }

    #[test]
    fn a_resource_that_keeps_failing_is_left_alone() {
        let waits: Vec<Again> = (1..=6)
            .map(|failures| again(ErrorCode::AnsibleHostFailed, failures, 0.0))
            .collect();
        let minutes = |minutes| Again::After(SignedDuration::from_mins(minutes));
        assert_eq!(
            waits,
            [
                minutes(10),
                minutes(30),
                minutes(120),
                minutes(360),
                Again::Never,
                Again::Never
            ]
        );
        assert_eq!(again(ErrorCode::HealthCheckFailed, 1, 0.0), Again::Never);
    }

    #[test]
    fn a_dead_remote_is_asked_less_and_less_often() {
        let wait = |seconds, failures| {
            fetch_wait(SignedDuration::from_secs(seconds), failures, 0.0).as_secs()
        };
        assert_eq!([wait(60, 1), wait(60, 2), wait(60, 4)], [60, 120, 480]);
        assert_eq!([wait(60, 5), wait(60, u32::MAX)], [600, 600]);
        assert_eq!(wait(3600, 9), 3600);
    }

    #[test]
    fn a_node_is_looked_at_often_at_first_and_never_forgotten() {
        let wait = |away, attempts| probe_wait(SignedDuration::from_secs(away), attempts, 0.0);
        assert_eq!(wait(0, 1).as_secs(), 2);
        assert_eq!(wait(180, 1).as_secs(), 3);
        assert_eq!(wait(3600, 1).as_secs(), 60);
        assert_eq!(wait(1_000_000, 1).as_secs(), 300);
        // It answers, and yet no job gets through.
        assert_eq!(wait(0, 4).as_secs(), 16);
        assert_eq!(wait(0, u32::MAX).as_secs(), 300);
    }
}
