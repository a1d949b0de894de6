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
        let fraction = i64::try_from(billionths(fraction)).map_err(|_| AmountError::NotDecimal)?;
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
        self.balance().serialize(serializer)
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
        f.write_str(Digits::of(self.0).as_str())
    }
}

/// A balance as text, without memory of the heap: every admission writes a dozen.
struct Digits {
    bytes: [u8; 48],
    from: usize,
}

impl Digits {
    fn of(balance: i128) -> Self {
        let mut digits = Self { bytes: [0; 48], from: 48 };
        let nanos = balance.unsigned_abs();
        // a division of 128 bits is dear, and hardly ever needed
        let (whole, fraction) = match u64::try_from(nanos) {
            Ok(nanos) => (u128::from(nanos / 1_000_000_000), nanos % 1_000_000_000),
            Err(_) => (nanos / 1_000_000_000, u64::try_from(nanos % 1_000_000_000).unwrap_or(0)),
        };
        if fraction != 0 {
            digits.fraction(fraction);
            digits.push(b'.');
        }
        digits.whole(whole);
        if balance < 0 {
            digits.push(b'-');
        }
        digits
    }

    /// The nine places, without zeros at the end beyond the second.
    fn fraction(&mut self, mut fraction: u64) {
        let mut places = 9;
        while places > 2 && fraction.is_multiple_of(10) {
            fraction /= 10;
            places -= 1;
        }
        for _ in 0..places {
            self.digit(fraction);
            fraction /= 10;
        }
    }

    fn whole(&mut self, mut whole: u128) {
        while u64::try_from(whole).is_err() {
            self.digit(u64::try_from(whole % 10).unwrap_or(0));
            whole /= 10;
        }
        let mut whole = u64::try_from(whole).unwrap_or(0);
        loop {
            self.digit(whole);
            whole /= 10;
            if whole == 0 {
                return;
            }
        }
    }

    fn digit(&mut self, number: u64) {
        self.push(b'0' + u8::try_from(number % 10).unwrap_or(0));
    }

    fn push(&mut self, byte: u8) {
        self.from -= 1;
        self.bytes[self.from] = byte;
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[self.from..]).unwrap_or_default()
    }
}

/// What digits behind a point are worth, in billionths: nine at most, and nothing but digits.
fn billionths(fraction: &str) -> u64 {
    let places = u32::try_from(fraction.len()).unwrap_or(9).min(9);
    fraction.bytes().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')) * 10_u64.pow(9 - places)
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
        let fraction = i128::from(billionths(fraction));
        let nanos = whole.checked_mul(NANOS).and_then(|n| n.checked_add(fraction)).ok_or(AmountError::OutOfRange)?;
        Ok(Self(if negative { -nanos } else { nanos }))
    }
}

impl Serialize for Balance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Digits::of(self.0).as_str())
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

    /// The text against the plain way of writing it.
    #[test]
    fn balances_as_text() {
        let plainly = |nanos: i128| {
            let (sign, size) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
            let fraction = format!("{:09}", size % 1_000_000_000);
            let fraction = fraction.trim_end_matches('0');
            let whole = size / 1_000_000_000;
            if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction:0<2}") }
        };
        let mut nanos = 7_i128;
        for n in 0..3_000_i128 {
            nanos = nanos.wrapping_mul(0x5851_f42d_4c95_7f2d_1405).wrapping_add(n) >> (n % 120);
            for nanos in [nanos, nanos - nanos % 1_000_000_000, nanos - nanos % 10_000_000] {
                let balance = Balance(nanos);
                assert_eq!(balance.to_string(), plainly(nanos));
                assert_eq!(serde_json::to_string(&balance).unwrap(), format!("\"{balance}\""));
            }
        }
        for nanos in [0, 1, -1, i128::from(u64::MAX), i128::from(u64::MAX) + 1, i128::MAX, i128::MIN] {
            assert_eq!(Balance(nanos).to_string(), plainly(nanos));
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
