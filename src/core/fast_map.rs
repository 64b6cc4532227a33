//! Maps by what a fleet repo calls things. Plans of large fleets look things up a million times, and the standard library's
//! hash takes longer than the rest of a lookup. This one is seeded anew in each process, so nobody can prepare names that
//! collide without seeing its work.

use foldhash::fast::RandomState;

pub type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;
pub type HashSet<K> = std::collections::HashSet<K, RandomState>;
