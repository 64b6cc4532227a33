//! Quantities: durations, sizes, shares and rates.

use std::fmt;

use super::{Malformed, Percent, Scalar, quoted, scalar_impls};

/// Splits `30s` into `30` and `s`; the number has no sign, fraction or leading zero.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    if number.len() > 1 && number.starts_with('0') {
        return None;
    }
    Some((number.parse().ok()?, unit.trim_start_matches(' ')))
}

/// A span of time, in whole seconds.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, bitcode::Encode, bitcode::Decode,
)]
pub struct Duration(u64);

const SECONDS: [(&str, u64); 5] = [
    ("w", 604_800),
    ("d", 86_400),
    ("h", 3_600),
    ("m", 60),
    ("s", 1),
];

impl Duration {
    /// The span of this many seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Whole seconds.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Weeks are accepted but never written: `30d` says more than `4w 2d`.
        for (unit, seconds) in &SECONDS[1..] {
            if self.0 != 0 && self.0.is_multiple_of(*seconds) {
                return write!(f, "{}{unit}", self.0 / seconds);
            }
        }
        write!(f, "{}s", self.0)
    }
}

impl Scalar for Duration {
    const FORMAT: &'static str = "time-span";
    const DESCRIPTION: &'static str =
        "A span of time: a whole number and `s`, `m`, `h`, `d` or `w`.";
    const EXAMPLES: &'static [&'static str] = &["30s", "5m", "30d"];

    fn parse(text: &str) -> Result<Self, Malformed> {
        let seconds = number_and_unit(text).and_then(|(number, unit)| {
            let (_, seconds) = SECONDS.iter().find(|(name, _)| *name == unit)?;
            number
                .checked_mul(*seconds)
                .filter(|total| *total <= 100 * 365 * 86_400)
        });
        seconds.map(Self).ok_or_else(|| {
            Malformed::new(format!("{} is not a span of time", quoted(text)))
                .hint("write a whole number and a unit, such as `30s`, `5m`, `12h` or `30d`")
        })
    }
}

scalar_impls!(Duration);

const BYTES: [(&str, u64); 4] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];

fn bytes(text: &str) -> Result<u64, Malformed> {
    let size = number_and_unit(text).and_then(|(number, unit)| {
        let bytes = match unit {
            "B" => 1,
            "KiB" | "K" => 1 << 10,
            "MiB" | "M" => 1 << 20,
            "GiB" | "G" => 1 << 30,
            "TiB" | "T" => 1 << 40,
            _ => return None,
        };
        number.checked_mul(bytes).filter(|size| *size <= 1 << 50)
    });
    size.ok_or_else(|| {
        Malformed::new(format!("{} is not a size", quoted(text)))
            .hint("write a whole number and a unit, such as `512MiB`, `2GiB` or `256M`")
    })
}

/// An amount of memory or storage, in bytes, written like `512MiB`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, bitcode::Encode, bitcode::Decode,
)]
pub struct ByteSize(u64);

impl ByteSize {
    /// The size of this many bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The size of this many mebibytes.
    #[must_use]
    pub const fn mebibytes(count: u64) -> Self {
        Self(count << 20)
    }

    /// Bytes.
    #[must_use]
    pub const fn as_bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, bytes) in BYTES {
            if self.0 != 0 && self.0.is_multiple_of(bytes) {
                return write!(f, "{}{unit}", self.0 / bytes);
            }
        }
        write!(f, "{}B", self.0)
    }
}

impl Scalar for ByteSize {
    const FORMAT: &'static str = "byte-size";
    const DESCRIPTION: &'static str = "An amount of memory or storage: a whole number and `KiB`, `MiB` or `GiB` (or `K`, `M`, `G`, which mean the same).";
    const EXAMPLES: &'static [&'static str] = &["512MiB", "2GiB"];

    fn parse(text: &str) -> Result<Self, Malformed> {
        bytes(text).map(Self)
    }
}

scalar_impls!(ByteSize);

/// An amount of memory as PHP writes it: `256M`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, bitcode::Encode, bitcode::Decode,
)]
pub struct PhpSize(u64);

impl PhpSize {
    /// The size of this many bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The size of this many mebibytes.
    #[must_use]
    pub const fn mebibytes(count: u64) -> Self {
        Self(count << 20)
    }

    /// Bytes.
    #[must_use]
    pub const fn as_bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for PhpSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, bytes) in [("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)] {
            if self.0 != 0 && self.0.is_multiple_of(bytes) {
                return write!(f, "{}{unit}", self.0 / bytes);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl Scalar for PhpSize {
    const FORMAT: &'static str = "php-size";
    const DESCRIPTION: &'static str = "An amount of memory as PHP writes it: a whole number and `M` or `G` (`MiB` and `GiB` mean the same).";
    const EXAMPLES: &'static [&'static str] = &["256M", "1G"];

    fn parse(text: &str) -> Result<Self, Malformed> {
        bytes(text).map(Self)
    }
}

scalar_impls!(PhpSize);

/// How many resources one step of a rollout takes: a count or a share.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, bitcode::Encode, bitcode::Decode,
)]
pub enum Batch {
    Count(u32),
    Percent(Percent),
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{}%", percent.get()),
        }
    }
}

impl Scalar for Batch {
    const FORMAT: &'static str = "batch";
    const DESCRIPTION: &'static str = "A count such as `5`, or a share such as `25%`.";
    const EXAMPLES: &'static [&'static str] = &["25%", "5"];

    fn parse(text: &str) -> Result<Self, Malformed> {
        let batch = number_and_unit(text).and_then(|(number, unit)| match (number, unit) {
            (1..=100, "%") => u8::try_from(number)
                .ok()
                .and_then(Percent::new)
                .map(Self::Percent),
            (1..=10_000, "") => u32::try_from(number).ok().map(Self::Count),
            _ => None,
        });
        batch.ok_or_else(|| {
            Malformed::new(format!("{} is neither a count nor a share", quoted(text)))
                .hint("write a count from `1` to `10000`, or a share from `1%` to `100%`")
        })
    }
}

scalar_impls!(Batch);

/// How many requests one address may make.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, bitcode::Encode, bitcode::Decode,
)]
pub struct Rate {
    count: u32,
    per_minute: bool,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}r/{}",
            self.count,
            if self.per_minute { "m" } else { "s" }
        )
    }
}

impl Scalar for Rate {
    const FORMAT: &'static str = "request-rate";
    const DESCRIPTION: &'static str = "Requests per second or minute for each client address.";
    const EXAMPLES: &'static [&'static str] = &["10r/s", "120r/m"];

    fn parse(text: &str) -> Result<Self, Malformed> {
        let rate = number_and_unit(text).and_then(|(number, unit)| {
            let per_minute = match unit {
                "r/s" | "/s" => false,
                "r/m" | "/m" => true,
                _ => return None,
            };
            let count = u32::try_from(number)
                .ok()
                .filter(|n| (1..=100_000).contains(n))?;
            Some(Self { count, per_minute })
        });
        rate.ok_or_else(|| {
            Malformed::new(format!("{} is not a request rate", quoted(text)))
                .hint("write requests per second or minute, such as `10r/s` or `120r/m`")
        })
    }
}

scalar_impls!(Rate);
