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
    /// When it is no decimal number, has more than six decimals, or does not fit.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let decimal = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !decimal(whole) || !decimal(fraction) {
            return Err(MoneyError::NotDecimal);
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > DECIMALS {
            return Err(MoneyError::TooPrecise);
        }
        let whole: i64 = whole.parse().map_err(|_| MoneyError::Overflow)?;
        let fraction: i64 = format!("{fraction:0<DECIMALS$}")
            .parse()
            .map_err(|_| MoneyError::NotDecimal)?;
        let micros = whole
            .checked_mul(MICROS as i64)
            .and_then(|micros| micros.checked_add(fraction));
        let micros = micros.ok_or(MoneyError::Overflow)?;
        Ok(Self {
            currency,
            micros: if negative { -micros } else { micros },
        })
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
            Self::TooPrecise => "more than six decimals",
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
        for text in ["", ".", "1.", ".5", "1e3", "+1", "--1", "1.2.3", " 1", "NaN"] {
            assert_eq!(
                Money::parse(text, Currency::USD),
                Err(MoneyError::NotDecimal),
                "{text:?}"
            );
        }
        assert_eq!(
            Money::parse("0.0000001", Currency::USD),
            Err(MoneyError::TooPrecise)
        );
        assert_eq!(
            Money::parse("99999999999999", Currency::USD),
            Err(MoneyError::Overflow)
        );
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
