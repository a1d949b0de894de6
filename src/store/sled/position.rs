//! Where an operation stands in the journal, which is also what a list's cursor says.

use crate::store::ReadError;
use std::fmt;
use std::str::FromStr;

/// Where an operation stands: its record, and its place in it. Sorts by time; in text `17-3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The record's sequence number.
    pub seq: u64,
    /// The operation's place in it.
    pub index: u32,
}

impl Position {
    /// Behind every operation.
    pub const LAST: Self = Self { seq: u64::MAX, index: u32::MAX };
}

/// A text that is no [`Position`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a cursor that a list gave")]
pub struct PositionError;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.seq, self.index)
    }
}

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let (seq, index) = text.split_once('-').ok_or(PositionError)?;
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if !digits(seq) || !digits(index) {
            return Err(PositionError);
        }
        let (Ok(seq), Ok(index)) = (seq.parse(), index.parse()) else { return Err(PositionError) };
        Ok(Self { seq, index })
    }
}

impl Position {
    /// From a cursor, if there is one.
    pub(super) fn of_cursor(cursor: Option<&str>) -> Result<Option<Self>, ReadError> {
        cursor.map(|text| text.parse().map_err(|PositionError| ReadError::Cursor(text.to_owned()))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back() {
        let position = Position { seq: 17, index: 3 };
        assert_eq!(position.to_string().parse(), Ok(position));
        for bad in ["", "17", "-3", "17-", "+1-2", "17-3-1", "99999999999999999999-1"] {
            assert_eq!(bad.parse::<Position>(), Err(PositionError), "{bad}");
        }
    }
}
