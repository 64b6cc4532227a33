//! Between which values a quantity of a document makes sense: on any node that there is, and in any fleet that somebody runs.
//!
//! The rules refuse what is outside (`out-of-range`), and the schemas say the same to editors. Whole numbers have their bounds in
//! their types, since JSON Schema has words for those.

use super::DocumentKind;
use super::scalar::{ByteSize, Duration, PhpSize};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const MINUTE: u64 = 60;
const DAY: u64 = 86_400;

/// The bounds of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub kind: DocumentKind,
    /// With `.` between its parts.
    pub field: &'static str,
    quantity: Quantity,
    least: u64,
    most: u64,
    /// Whether nothing at all means something, too.
    or_zero: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantity {
    /// Seconds.
    Time,
    /// Bytes.
    Size,
    /// Bytes, as PHP writes them.
    PhpSize,
}

/// All of them, sorted by kind and field.
pub const BOUNDS: [Bounds; 12] = {
    use DocumentKind::{Environment, Fleet, Node};
    [
        time(Fleet, "reconcile.interval", 1, DAY),
        time(Fleet, "rollout.soak", 0, 7 * DAY),
        size(Node, "database.buffer_pool", 32 * MIB, 8192 * GIB),
        size(Node, "php.opcache", 16 * MIB, 16 * GIB),
        size(Node, "php.ram_budget", 128 * MIB, 64 * 1024 * GIB),
        size(Node, "redis.maxmemory", 16 * MIB, 1024 * GIB),
        size(Node, "swap", 64 * MIB, 1024 * GIB),
        time(Environment, "cache.ttl", 1, 365 * DAY),
        // Never.
        time(Environment, "cron.interval", MINUTE, 7 * DAY).or_zero(),
        time(Environment, "expires", 60 * MINUTE, 3650 * DAY),
        time(Environment, "health.timeout", 1, 5 * MINUTE),
        Bounds {
            quantity: Quantity::PhpSize,
            ..size(Environment, "php.memory", 32 * MIB, 16 * GIB)
        },
    ]
};

const fn time(kind: DocumentKind, field: &'static str, least: u64, most: u64) -> Bounds {
    Bounds {
        kind,
        field,
        quantity: Quantity::Time,
        least,
        most,
        or_zero: false,
    }
}

const fn size(kind: DocumentKind, field: &'static str, least: u64, most: u64) -> Bounds {
    Bounds {
        quantity: Quantity::Size,
        ..time(kind, field, least, most)
    }
}

impl Bounds {
    const fn or_zero(self) -> Self {
        Self {
            or_zero: true,
            ..self
        }
    }

    /// Whether a value, in seconds or bytes, is within them.
    #[must_use]
    pub fn has(&self, value: u64) -> bool {
        (self.least..=self.most).contains(&value) || (self.or_zero && value == 0)
    }

    /// The smallest value, as it is written.
    #[must_use]
    pub fn least(&self) -> String {
        self.shown(self.least)
    }

    /// The largest value, as it is written.
    #[must_use]
    pub fn most(&self) -> String {
        self.shown(self.most)
    }

    /// What may be written, for people: ``from `1m` to `7d`, or `0s` ``.
    #[must_use]
    pub fn words(&self) -> String {
        let words = format!("from `{}` to `{}`", self.least(), self.most());
        match self.or_zero {
            true => format!("{words}, or `{}`", self.shown(0)),
            false => words,
        }
    }

    /// A value as documents write it.
    #[must_use]
    pub fn shown(&self, value: u64) -> String {
        match self.quantity {
            Quantity::Time => Duration::seconds(value).to_string(),
            Quantity::Size => ByteSize::from_bytes(value).to_string(),
            Quantity::PhpSize => PhpSize::from_bytes(value).to_string(),
        }
    }
}
