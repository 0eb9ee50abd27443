//! Money: a whole number of millionths of one currency.
//!
//! It never passes through a float and never converts between currencies.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const MICROS: u64 = 1_000_000;
const DECIMALS: usize = 6;

/// An amount in millionths of `currency`: exact for every price with up to six decimals.
///
/// Its order compares the currency first, so that sorting is total; amounts of different currencies say
/// nothing about which is worth more.
///
/// ```
/// use marketplace::{Currency, Money};
/// let price = Money::parse("2.65", Currency::USD)?;
/// assert_eq!(price.micros, 2_650_000);
/// assert_eq!(price.checked_add(price)?.to_string(), "5.30 USD");
/// # Ok::<(), marketplace::MoneyError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Money {
    /// What it is an amount of.
    pub currency: Currency,
    /// Millionths of the currency; may be negative.
    pub micros: i64,
}

impl Money {
    /// This many millionths of `currency`.
    #[must_use]
    pub const fn from_micros(micros: i64, currency: Currency) -> Self {
        Self { currency, micros }
    }

    /// Reads a decimal such as `2.65`, `-0.5` or `18`.
    ///
    /// # Errors
    /// When it is no decimal number, is in exponent notation, has more than six decimals, or does not fit.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let (amount, exactness) = Self::parse_rounded(text, currency)?;
        if text.contains(['e', 'E']) {
            return Err(MoneyError::Exponent);
        }
        match exactness {
            Exactness::Exact => Ok(amount),
            Exactness::Rounded => Err(MoneyError::TooPrecise),
        }
    }

    /// Reads a decimal of any precision, also in exponent notation such as `5e-05`, and rounds it to six decimals, a half to
    /// the even neighbour. For tables that other programs wrote, where whoever reads them tells what was rounded; a price
    /// that somebody is to pay is [parsed](Self::parse) exactly or not at all.
    ///
    /// # Errors
    /// When it is no decimal number, or does not fit.
    ///
    /// ```
    /// use marketplace::{Currency, Exactness, Money};
    /// let (price, exactness) = Money::parse_rounded("0.4026666666666667", Currency::USD)?;
    /// assert_eq!((price.micros, exactness), (402_667, Exactness::Rounded));
    /// assert_eq!(Money::parse_rounded("5e-05", Currency::USD)?.0.to_string(), "0.00005 USD");
    /// # Ok::<(), marketplace::MoneyError>(())
    /// ```
    pub fn parse_rounded(text: &str, currency: Currency) -> Result<(Self, Exactness), MoneyError> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (number, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let decimal = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let unsigned = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if ![whole, fraction, unsigned].into_iter().all(decimal) {
            return Err(MoneyError::NotDecimal);
        }
        // An exponent of more digits than these moves any number that a text can hold out of sight.
        let exponent: i64 = exponent.parse().unwrap_or(if exponent.starts_with('-') {
            i64::from(i32::MIN)
        } else {
            i64::from(i32::MAX)
        });
        let (micros, exactness) = rounded(whole, fraction, exponent.saturating_add(DECIMALS as i64))?;
        let micros = if negative { -micros } else { micros };
        Ok((Self { currency, micros }, exactness))
    }

    /// The sum.
    ///
    /// # Errors
    /// When the currencies differ or the sum does not fit.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.combine(other, i64::checked_add)
    }

    /// The difference.
    ///
    /// # Errors
    /// When the currencies differ or the difference does not fit.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.combine(other, i64::checked_sub)
    }

    /// This amount times `numerator / denominator`, a half millionth rounded away from zero.
    ///
    /// # Errors
    /// When the result does not fit.
    pub fn scaled(self, numerator: u64, denominator: NonZeroU64) -> Result<Self, MoneyError> {
        let magnitude = u128::from(self.micros.unsigned_abs()) * u128::from(numerator);
        let denominator = u128::from(denominator.get());
        let rounded = (magnitude + denominator / 2) / denominator;
        let micros = i64::try_from(rounded).map_err(|_| MoneyError::Overflow)?;
        Ok(Self {
            currency: self.currency,
            micros: if self.micros < 0 { -micros } else { micros },
        })
    }

    /// The sum of all; `None` when there are none, one is missing, two differ in currency, or the sum does not fit.
    pub fn total(amounts: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        let sum = |one: Option<Self>, other: Option<Self>| one?.checked_add(other?).ok();
        amounts.into_iter().reduce(sum).flatten()
    }

    fn combine(self, other: Self, with: impl Fn(i64, i64) -> Option<i64>) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch);
        }
        let micros = with(self.micros, other.micros).ok_or(MoneyError::Overflow)?;
        Ok(Self {
            currency: self.currency,
            micros,
        })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.micros < 0 { "-" } else { "" };
        let magnitude = self.micros.unsigned_abs();
        let decimals = format!("{:06}", magnitude % MICROS);
        let kept = decimals.trim_end_matches('0').len().max(2);
        write!(
            f,
            "{sign}{}.{} {}",
            magnitude / MICROS,
            &decimals[..kept],
            self.currency
        )
    }
}

impl FromStr for Money {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (amount, currency) = text.split_once(' ').ok_or(MoneyError::NotDecimal)?;
        Self::parse(amount, currency.parse()?)
    }
}

/// The number `whole.fraction`, its point moved so many places to the right, rounded half to even.
fn rounded(whole: &str, fraction: &str, moved: i64) -> Result<(i64, Exactness), MoneyError> {
    let digits: Vec<u8> = whole
        .bytes()
        .chain(fraction.bytes())
        .map(|digit| digit - b'0')
        .collect();
    // The number has no more digits than fit into memory.
    let point = (whole.len() as i64).saturating_add(moved);
    let kept = usize::try_from(point).unwrap_or(0).min(digits.len());
    let mut micros: i64 = 0;
    let mut add = |digit: u8| {
        let next = micros
            .checked_mul(10)
            .and_then(|micros| micros.checked_add(i64::from(digit)));
        next.map(|next| micros = next).ok_or(MoneyError::Overflow)
    };
    digits[..kept].iter().try_for_each(|digit| add(*digit))?;
    if digits.iter().any(|digit| *digit != 0) {
        (kept as i64..point).try_for_each(|_| add(0))?;
    }
    let rest = &digits[kept..];
    if rest.iter().all(|digit| *digit == 0) {
        return Ok((micros, Exactness::Exact));
    }
    // With the point before the first digit, zeros stand in between.
    let first = if point < 0 { 0 } else { rest[0] };
    let half = first == 5 && rest[1..].iter().all(|digit| *digit == 0);
    let up = if half { micros % 2 == 1 } else { first >= 5 };
    let micros = micros.checked_add(i64::from(up)).ok_or(MoneyError::Overflow)?;
    Ok((micros, Exactness::Rounded))
}

/// Whether an amount is what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exactness {
    /// To the last digit.
    Exact,
    /// It had more than six decimals.
    Rounded,
}

/// A currency by its three-letter ISO 4217 code.
///
/// ```
/// use marketplace::Currency;
/// assert_eq!("EUR".parse::<Currency>()?.to_string(), "EUR");
/// assert!("euro".parse::<Currency>().is_err());
/// # Ok::<(), marketplace::MoneyError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The United States dollar.
    pub const USD: Self = Self(*b"USD");
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let code: [u8; 3] = text
            .as_bytes()
            .try_into()
            .map_err(|_| MoneyError::UnknownCurrency)?;
        if !code.iter().all(u8::is_ascii_uppercase) {
            return Err(MoneyError::UnknownCurrency);
        }
        Ok(Self(code))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|letter| write!(f, "{}", char::from(*letter)))
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// Why an amount could not be read or computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MoneyError {
    /// The text is not a decimal number (and, where asked for, a currency after a space).
    NotDecimal,
    /// The text has more than six decimals; rounding it would invent a price.
    TooPrecise,
    /// The text is in exponent notation: a price is written out.
    Exponent,
    /// The result exceeds about 9.2 trillion.
    Overflow,
    /// The two amounts are of different currencies.
    CurrencyMismatch,
    /// The text is not a code of three capital letters.
    UnknownCurrency,
}

impl fmt::Display for MoneyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDecimal => "not a decimal amount",
            Self::TooPrecise => "more than six decimals; the smallest amount is 0.000001",
            Self::Exponent => "in exponent notation; write it out, such as 0.00005",
            Self::Overflow => "amount out of range",
            Self::CurrencyMismatch => "amounts of different currencies",
            Self::UnknownCurrency => "not a currency code of three capital letters",
        })
    }
}

impl std::error::Error for MoneyError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Money {
        Money::parse(text, Currency::USD).unwrap()
    }

    #[test]
    fn decimals_are_read_exactly() {
        for (text, micros) in [
            ("2.65", 2_650_000),
            ("0.10625", 106_250),
            ("-0.5", -500_000),
            ("18", 18_000_000),
            ("1.0000000", 1_000_000),
        ] {
            assert_eq!(usd(text).micros, micros, "{text}");
        }
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        for text in [
            "", ".", "1.", ".5", "1e", "e3", "1e1.5", "1e--5", "+1", "--1", "1.2.3", " 1", "NaN",
        ] {
            assert_eq!(
                Money::parse(text, Currency::USD),
                Err(MoneyError::NotDecimal),
                "{text:?}"
            );
        }
        for (text, error) in [
            ("0.0000001", MoneyError::TooPrecise),
            ("0.4026666666666667", MoneyError::TooPrecise),
            ("5e-05", MoneyError::Exponent),
            ("5e-07", MoneyError::Exponent),
        ] {
            assert_eq!(Money::parse(text, Currency::USD), Err(error), "{text}");
        }
        assert_eq!(
            Money::parse("99999999999999", Currency::USD),
            Err(MoneyError::Overflow)
        );
    }

    #[test]
    fn any_decimal_is_rounded_half_to_even_at_six_places_and_says_whether_it_was() {
        use Exactness::{Exact, Rounded};
        for (text, micros, exactness) in [
            ("2.65", 2_650_000, Exact),
            ("5e-05", 50, Exact),
            ("1.5E+3", 1_500_000_000, Exact),
            ("0.0000025", 2, Rounded),
            ("0.0000035", 4, Rounded),
            ("0.00000250000001", 3, Rounded),
            ("0.4026666666666667", 402_667, Rounded),
            ("-0.4026666666666667", -402_667, Rounded),
            ("0.9999999", 1_000_000, Rounded),
            ("9e-7", 1, Rounded),
            ("9e-8", 0, Rounded),
            ("0e999999999999999999999", 0, Exact),
            ("1e-999999999999999999999", 0, Rounded),
            ("000000000000000000000000012e-1", 1_200_000, Exact),
        ] {
            let read = Money::parse_rounded(text, Currency::USD);
            assert_eq!(
                read.map(|(money, exactness)| (money.micros, exactness)),
                Ok((micros, exactness)),
                "{text}"
            );
        }
        for text in ["9223372036854.775808", "1e13", "1e999999999999999999999"] {
            assert_eq!(
                Money::parse_rounded(text, Currency::USD),
                Err(MoneyError::Overflow),
                "{text}"
            );
        }
    }

    #[test]
    fn printed_money_reads_back_as_itself() {
        for micros in [0, 1, -1, 106_250, 2_650_000, i64::MAX, -i64::MAX] {
            let money = Money::from_micros(micros, Currency::USD);
            assert_eq!(money.to_string().parse(), Ok(money), "{money}");
        }
        assert_eq!(usd("0.4").to_string(), "0.40 USD");
    }

    #[test]
    fn scaling_rounds_a_half_away_from_zero_and_never_wraps() {
        let two = NonZeroU64::new(2).unwrap();
        assert_eq!(
            Money::from_micros(3, Currency::USD)
                .scaled(1, two)
                .unwrap()
                .micros,
            2
        );
        assert_eq!(
            Money::from_micros(-3, Currency::USD)
                .scaled(1, two)
                .unwrap()
                .micros,
            -2
        );
        assert_eq!(
            Money::from_micros(i64::MAX, Currency::USD).scaled(3, two),
            Err(MoneyError::Overflow)
        );
    }

    #[test]
    fn amounts_of_different_currencies_do_not_add() {
        let euro = Money::from_micros(1, "EUR".parse().unwrap());
        assert_eq!(euro.checked_add(usd("1")), Err(MoneyError::CurrencyMismatch));
        assert_eq!(usd("1").checked_sub(usd("0.35")).unwrap(), usd("0.65"));
    }
}
