//! Limits by source that need no memory across restarts.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How much is under way for each key.
#[derive(Debug)]
pub(super) struct Pending<K> {
    counts: Arc<Mutex<HashMap<K, usize>>>,
    each: usize,
    all: usize,
}

/// One thing under way; it is over when this is dropped.
#[derive(Debug)]
pub(super) struct Turn<K: Eq + Hash + Copy> {
    counts: Arc<Mutex<HashMap<K, usize>>>,
    key: K,
}

impl<K: Eq + Hash + Copy> Pending<K> {
    /// At most `each` for one key and `all` together.
    pub(super) fn new(each: usize, all: usize) -> Self {
        Self {
            counts: Arc::default(),
            each,
            all,
        }
    }

    /// A turn for `key`, or none when there are too many.
    pub(super) fn begin(&self, key: K) -> Option<Turn<K>> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.values().sum::<usize>() >= self.all {
            return None;
        }
        let count = counts.get(&key).copied().unwrap_or_default();
        if count >= self.each {
            return None;
        }
        counts.insert(key, count + 1);
        Some(Turn {
            counts: Arc::clone(&self.counts),
            key,
        })
    }
}

impl<K: Eq + Hash + Copy> Drop for Turn<K> {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

/// The most keys whose rate is remembered.
const MOST_KEYS: usize = 4_096;

/// How often each key may do something: a bucket of tokens that fills up again.
#[derive(Debug)]
pub(super) struct Rates<K> {
    buckets: Mutex<HashMap<K, (f64, Instant)>>,
    burst: f64,
    per_second: f64,
}

impl<K: Eq + Hash + Copy> Rates<K> {
    pub(super) fn new(burst: u32, every: Duration) -> Self {
        Self {
            buckets: Mutex::new(HashMap::new()),
            burst: f64::from(burst),
            per_second: 1.0 / every.as_secs_f64(),
        }
    }

    /// Whether `key` may do it once more now.
    pub(super) fn allow(&self, key: K, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST_KEYS && !buckets.contains_key(&key) {
            // Who has a full bucket is not remembered by it.
            let full = self.burst - 0.5;
            buckets.retain(|_, (tokens, at)| {
                *tokens + now.duration_since(*at).as_secs_f64() * self.per_second < full
            });
            if buckets.len() >= MOST_KEYS {
                return false;
            }
        }
        let (tokens, at) = buckets.entry(key).or_insert((self.burst, now));
        *tokens =
            (*tokens + now.duration_since(*at).as_secs_f64() * self.per_second).min(self.burst);
        *at = now;
        if *tokens < 1.0 {
            return false;
        }
        *tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_cannot_take_the_turns_of_others() {
        let pending = Pending::new(2, 3);
        let (first, second) = (pending.begin('a'), pending.begin('a'));
        assert!(first.is_some() && second.is_some());
        assert!(pending.begin('a').is_none());
        let other = pending.begin('b');
        assert!(other.is_some());
        assert!(pending.begin('c').is_none(), "three are under way");
        drop(second);
        assert!(pending.begin('c').is_some());
    }

    #[test]
    fn a_bucket_empties_and_fills() {
        let rates = Rates::new(2, Duration::from_secs(10));
        let begin = Instant::now();
        assert!(rates.allow('a', begin) && rates.allow('a', begin));
        assert!(!rates.allow('a', begin));
        assert!(rates.allow('b', begin));
        assert!(rates.allow('a', begin + Duration::from_secs(11)));
        assert!(!rates.allow('a', begin + Duration::from_secs(12)));
    }
}
