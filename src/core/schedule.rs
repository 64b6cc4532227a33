//! When something that happens again and again is due. Pure: the present enters as a value.

use jiff::{SignedDuration, Timestamp};

use super::document::scalar::Schedule;

/// The farthest that anything is moved away from its moment.
const LONGEST_JITTER: SignedDuration = SignedDuration::from_mins(5);

/// One time that something is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// As the schedule says.
    pub nominal: Timestamp,
    /// As it happens: so much later that what has the same schedule does not happen at once.
    pub due: Timestamp,
}

/// The first occurrence after `after`, or none when the calendar ends.
///
/// On the day that skips an hour, what falls into that hour happens right after it; on the day
/// that has an hour twice, it happens once ([`Schedule::next_after`]). `seed` names what it is for, and always gives the
/// same delay: at most five minutes, and a tenth of the time to the next but one.
#[must_use]
pub fn next(schedule: &Schedule, after: Timestamp, seed: &str) -> Option<Occurrence> {
    let nominal = schedule.next_after(after)?;
    let gap = match schedule.next_after(nominal) {
        Some(following) => following.duration_since(nominal),
        None => LONGEST_JITTER * 10,
    };
    let most = (gap / 10).min(LONGEST_JITTER);
    let hash = blake3::hash(seed.as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    let share = f64::from(u32::from_le_bytes([a, b, c, d])) / f64::from(u32::MAX);
    let delay = SignedDuration::try_from_secs_f64(most.as_secs_f64() * share).unwrap_or(most);
    Some(Occurrence {
        nominal,
        due: nominal.saturating_add(delay).unwrap_or(nominal),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn schedule(text: &str) -> Schedule {
        text.parse().expect("a schedule")
    }

    fn days(text: &str, from: &str, count: usize) -> Vec<String> {
        let schedule = schedule(text);
        let mut after = at(from);
        (0..count)
            .map(|_| {
                let found = next(&schedule, after, "x").expect("there is one");
                after = found.nominal;
                found.nominal.to_string()
            })
            .collect()
    }

    #[test]
    fn an_hour_that_is_skipped_loses_nothing_and_one_that_comes_twice_doubles_nothing() {
        assert_eq!(
            days("30 2 * * * Europe/Berlin", "2026-03-27T12:00:00Z", 3),
            [
                "2026-03-28T01:30:00Z",
                "2026-03-29T01:00:00Z",
                "2026-03-30T00:30:00Z"
            ]
        );
        assert_eq!(
            days("30 2 * * * Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
        assert_eq!(
            days("0 3 * * *", "2026-03-28T12:00:00Z", 2),
            ["2026-03-29T03:00:00Z", "2026-03-30T03:00:00Z"]
        );
        // Several times of one hour, and one that is right after it.
        assert_eq!(
            days("*/30 2,3 * * * Europe/Berlin", "2026-03-28T12:00:00Z", 3),
            [
                "2026-03-29T01:00:00Z",
                "2026-03-29T01:30:00Z",
                "2026-03-30T00:00:00Z"
            ]
        );
        assert_eq!(
            days("*/30 2 * * * Europe/Berlin", "2026-10-24T12:00:00Z", 3),
            [
                "2026-10-25T00:00:00Z",
                "2026-10-25T00:30:00Z",
                "2026-10-26T01:00:00Z"
            ]
        );
        // Between the two times that the clocks show it, it has been.
        assert_eq!(
            days("30 2 * * * Europe/Berlin", "2026-10-25T01:10:00Z", 1),
            ["2026-10-26T01:30:00Z"]
        );
        // A midnight that does not exist, and half an hour that is skipped.
        assert_eq!(
            days("30 0 * * sun America/Santiago", "2026-09-05T12:00:00Z", 2),
            ["2026-09-06T04:00:00Z", "2026-09-13T03:30:00Z"]
        );
        assert_eq!(
            days("15 2 4 10 * Australia/Lord_Howe", "2026-10-01T00:00:00Z", 1),
            ["2026-10-03T15:30:00Z"]
        );
    }

    #[test]
    fn what_happens_every_hour_happens_in_each_hour_that_passes() {
        for hours in ["*", "*/1", "0-23"] {
            let text = format!("30 {hours} * * * Europe/Berlin");
            assert_eq!(
                days(&text, "2026-10-25T00:00:00Z", 3),
                [
                    "2026-10-25T00:30:00Z",
                    "2026-10-25T01:30:00Z",
                    "2026-10-25T02:30:00Z"
                ],
                "{text}"
            );
            assert_eq!(
                days(&text, "2026-03-29T00:00:00Z", 2),
                ["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"],
                "{text}"
            );
        }
    }

    #[test]
    fn what_never_comes_is_refused_and_what_comes_seldom_is_not() {
        for never in ["0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
            let refused = never.parse::<Schedule>().expect_err("there is no such day");
            assert!(refused.message.contains("never comes"), "{refused}");
        }
        let leap = schedule("0 0 29 2 *");
        assert!(next(&leap, at("2026-02-22T12:00:00Z"), "x").is_some());
    }

    proptest! {
        #[test]
        fn occurrences_grow_and_delays_are_small_and_stable(
            seconds in 1_700_000_000_i64..1_900_000_000,
            seed in "[a-z]{1,8}",
            text in prop::sample::select(vec![
                "*/5 * * * *", "0 3 * * *", "30 2 * * sun Europe/Berlin", "15 * * * * America/New_York",
            ]),
        ) {
            let schedule = schedule(text);
            let after = Timestamp::from_second(seconds).expect("a time");
            let first = next(&schedule, after, &seed).expect("there is one");
            prop_assert!(first.nominal > after);
            prop_assert!(first.due >= first.nominal);
            prop_assert!(first.due.duration_since(first.nominal) <= LONGEST_JITTER);
            let second = next(&schedule, first.nominal, &seed).expect("there is one");
            prop_assert!(second.nominal > first.nominal && second.nominal > first.due);
            prop_assert_eq!(next(&schedule, after, &seed), Some(first));
        }
    }
}
