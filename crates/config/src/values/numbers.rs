//! Values that are numbers: counts, ports, shares and spans of time.
//!
//! Deliberately without floating point: a share of 0.3 is 300 thousandths, exactly.

use std::num::{NonZeroU16, NonZeroUsize};
use std::time::Duration;

use super::{Value, parsed_from_text};

/// A port, 1 to 65535.
impl Value for NonZeroU16 {
    fn expects() -> String {
        "a whole number from 1 to 65535".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        text.trim().parse().ok()
    }

    fn render(&self) -> String {
        self.to_string()
    }
}

/// A count of things of which there must be at least one.
impl Value for NonZeroUsize {
    fn expects() -> String {
        "a whole number of at least 1".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        text.trim().parse().ok()
    }

    fn render(&self) -> String {
        self.to_string()
    }
}

/// Number of a Redis database, 0 to 15: the databases that Redis has unless told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Database(u8);

impl Database {
    /// The number, 0 to 15.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Value for Database {
    fn expects() -> String {
        "a whole number from 0 to 15".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        text.trim().parse().ok().filter(|number| *number <= 15).map(Self)
    }

    fn render(&self) -> String {
        self.0.to_string()
    }
}
parsed_from_text!(Database);

/// Shards of a lane: a power of two from 8 to 4096.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shards(u16);

impl Shards {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl Value for Shards {
    fn expects() -> String {
        "a power of two from 8 to 4096".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        let number = text.trim().parse::<u16>().ok();
        number
            .filter(|number| (8..=4096).contains(number) && number.is_power_of_two())
            .map(Self)
    }

    fn render(&self) -> String {
        self.0.to_string()
    }
}
parsed_from_text!(Shards);

/// A whole number of hours, 1 to 8760 (a year).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hours(u32);

impl Hours {
    /// The same span of time, as the rest of the code measures it.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64 * 3600)
    }
}

impl Value for Hours {
    fn expects() -> String {
        "a whole number of hours from 1 to 8760".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        text.trim()
            .parse()
            .ok()
            .filter(|hours| (1..=8760).contains(hours))
            .map(Self)
    }

    fn render(&self) -> String {
        self.0.to_string()
    }
}
parsed_from_text!(Hours);

/// Time to live in memory as a share of the time to live in Redis, 0.1 to 1.0 in steps of 0.001.
///
/// ```
/// use std::time::Duration;
///
/// let share: config::TtlMultiplier = "0.3".parse()?;
/// assert_eq!(share.of(Duration::from_secs(60)), Duration::from_secs(18));
/// # Ok::<(), config::Refused>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TtlMultiplier {
    thousandths: u16,
}

impl TtlMultiplier {
    /// This share of a time to live.
    #[must_use]
    pub fn of(self, ttl: Duration) -> Duration {
        ttl.saturating_mul(u32::from(self.thousandths)) / 1000
    }

    /// The share in thousandths, 100 to 1000.
    #[must_use]
    pub const fn thousandths(self) -> u16 {
        self.thousandths
    }
}

impl Value for TtlMultiplier {
    fn expects() -> String {
        "a number from 0.1 to 1.0 with at most 3 decimals".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        let thousandths = u16::try_from(thousandths(text.trim())?).ok()?;
        (100..=1000)
            .contains(&thousandths)
            .then_some(Self { thousandths })
    }

    fn render(&self) -> String {
        let decimals = format!("{:03}", self.thousandths % 1000);
        let decimals = decimals.trim_end_matches('0');
        let decimals = if decimals.is_empty() { "0" } else { decimals };
        format!("{}.{decimals}", self.thousandths / 1000)
    }
}
parsed_from_text!(TtlMultiplier);

/// A timeout or an interval. A bare number means seconds.
///
/// At most an hour: beyond it nearly always stand milliseconds written where seconds are meant.
impl Value for Duration {
    fn expects() -> String {
        "a time above 0 and of at most 1h, such as 10 or 10s, 500ms or 2m".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let unit_millis = match unit {
            "ms" => 1,
            "" | "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        let micros = thousandths(number.trim_end())?.checked_mul(unit_millis)?;
        let millis = micros / 1000;
        (micros % 1000 == 0 && (1..=3_600_000).contains(&millis)).then(|| Self::from_millis(millis))
    }

    fn render(&self) -> String {
        match self.as_millis() {
            millis if millis % 1000 == 0 => format!("{}s", millis / 1000),
            millis => format!("{millis}ms"),
        }
    }
}

/// Reads a decimal number with at most three decimals as thousandths: `0.25` is 250.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 3 {
        return None;
    }
    let decimals: u64 = format!("{decimals:0<3}").parse().ok()?;
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(1000)?
        .checked_add(decimals)
}
