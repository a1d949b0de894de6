//! Money and other quantities as integers: 1 is one billionth of the unit. Floats never come near.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// Billionths in one unit.
pub const NANOS: i128 = 1_000_000_000;

/// What a request may ask for or book: zero or more, in billionths, fitting an `i64`
/// (up to 9,223,372,036.854775807 units).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(i64);

/// Why a text is not an [`Amount`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not digits with at most one point between digits.
    #[error("must be a decimal number such as \"0.42\", without sign, exponent or spaces")]
    NotDecimal,
    /// More than nine digits behind the point.
    #[error("has more than nine decimal places; the smallest amount is 0.000000001")]
    TooFine,
    /// Above the largest amount.
    #[error("is above the largest amount, 9223372036.854775807")]
    TooLarge,
    /// Not even a balance is that large.
    #[error("is larger than any balance")]
    OutOfRange,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// One whole unit.
    pub const ONE: Self = Self(1_000_000_000);
    /// The largest amount a request can name.
    pub const MAX: Self = Self(i64::MAX);

    /// From billionths; `None` below zero.
    pub const fn from_nanos(nanos: i64) -> Option<Self> {
        if nanos < 0 { None } else { Some(Self(nanos)) }
    }

    /// In billionths.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// As a balance, for sums.
    pub const fn balance(self) -> Balance {
        Balance(self.0 as i128)
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let (whole, fraction) = match text.split_once('.') {
            Some((whole, fraction)) => (whole, fraction),
            None => (text, "0"),
        };
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(AmountError::NotDecimal);
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 9 {
            return Err(AmountError::TooFine);
        }
        let whole: i64 = whole
            .trim_start_matches('0')
            .parse()
            .or_else(|_| if whole.bytes().all(|b| b == b'0') { Ok(0) } else { Err(AmountError::TooLarge) })?;
        let fraction: i64 = format!("{fraction:0<9}").parse().map_err(|_| AmountError::NotDecimal)?;
        whole.checked_mul(1_000_000_000).and_then(|n| n.checked_add(fraction)).map(Self).ok_or(AmountError::TooLarge)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.balance().fmt(f)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Amount;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount as a decimal string such as \"0.42\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
                text.parse().map_err(|error| E::custom(format!("amount {error}")))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// A sum of amounts, in billionths. May be below zero (what remains of a limit that was passed).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Balance(i128);

impl Balance {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From billionths.
    pub const fn from_nanos(nanos: i128) -> Self {
        Self(nanos)
    }

    /// In billionths.
    pub const fn nanos(self) -> i128 {
        self.0
    }

    /// The sum, `None` when it does not fit.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, `None` when it does not fit.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

impl From<Amount> for Balance {
    fn from(amount: Amount) -> Self {
        amount.balance()
    }
}

impl fmt::Display for Balance {
    /// Whole numbers without a point, others with at least two decimals: `12000`, `0.42`, `0.10`, `0.000000001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        let (whole, fraction) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        if fraction == 0 {
            return write!(f, "{sign}{whole}");
        }
        let fraction = format!("{fraction:09}");
        let trimmed = fraction.trim_end_matches('0');
        write!(f, "{sign}{whole}.{trimmed:0<2}")
    }
}

impl FromStr for Balance {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) {
            return Err(AmountError::NotDecimal);
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 9 {
            return Err(AmountError::TooFine);
        }
        let whole: i128 = whole.parse().map_err(|_| AmountError::OutOfRange)?;
        let fraction: i128 = format!("{fraction:0<9}").parse().map_err(|_| AmountError::NotDecimal)?;
        let nanos = whole.checked_mul(NANOS).and_then(|n| n.checked_add(fraction)).ok_or(AmountError::OutOfRange)?;
        Ok(Self(if negative { -nanos } else { nanos }))
    }
}

impl Serialize for Balance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Balance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|error| de::Error::custom(format!("amount {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_amounts() {
        for (text, nanos, shown) in [
            ("0", 0, "0"),
            ("0.42", 420_000_000, "0.42"),
            ("0.1", 100_000_000, "0.10"),
            ("5.00", 5_000_000_000, "5"),
            ("007", 7_000_000_000, "7"),
            ("0.000000001", 1, "0.000000001"),
            ("1.5000000000000", 1_500_000_000, "1.50"),
            ("9223372036.854775807", i64::MAX, "9223372036.854775807"),
        ] {
            let amount: Amount = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!((amount.nanos(), amount.to_string().as_str()), (nanos, shown), "{text}");
        }
    }

    #[test]
    fn texts_that_are_not() {
        use AmountError::{NotDecimal, TooFine, TooLarge};
        for (text, error) in [
            ("", NotDecimal),
            ("-1", NotDecimal),
            ("+1", NotDecimal),
            ("1e400", NotDecimal),
            (".5", NotDecimal),
            ("5.", NotDecimal),
            ("1.2.3", NotDecimal),
            (" 1", NotDecimal),
            ("1_000", NotDecimal),
            ("NaN", NotDecimal),
            ("٣", NotDecimal),
            ("0.0000000001", TooFine),
            ("9223372036.854775808", TooLarge),
            ("9223372036854775807", TooLarge),
            ("99999999999999999999999999999999999999999", TooLarge),
        ] {
            assert_eq!(text.parse::<Amount>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_float_or_a_number_in_json_is_refused() {
        for json in ["0.42", "1", "null", "true", "[]"] {
            assert!(serde_json::from_str::<Amount>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn balances_below_zero_keep_their_sign() {
        for (nanos, text) in [(-1, "-0.000000001"), (-1_500_000_000, "-1.50"), (-2_000_000_000, "-2")] {
            assert_eq!(Balance::from_nanos(nanos).to_string(), text);
            assert_eq!(text.parse(), Ok(Balance::from_nanos(nanos)));
        }
    }

    #[test]
    fn balances_are_read_as_amounts_are_and_go_further() {
        for (text, read) in [
            ("5.0000000000000", Ok(5_000_000_000)),
            ("400000000000", Ok(400_000_000_000_000_000_000)),
            ("9223372036.854775808", Ok(i128::from(i64::MAX) + 1)),
            ("0.0000000001", Err(AmountError::TooFine)),
            ("1e9", Err(AmountError::NotDecimal)),
            ("--1", Err(AmountError::NotDecimal)),
            ("999999999999999999999999999999999999999999", Err(AmountError::OutOfRange)),
        ] {
            assert_eq!(text.parse(), read.map(Balance::from_nanos), "{text}");
        }
    }
}
