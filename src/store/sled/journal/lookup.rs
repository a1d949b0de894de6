//! One record out of the middle, by its number: found by hopping over the heads of those before it in its segment, and
//! checked when it is read.

use super::read::segments;
use super::{ReadError, Sealed};
use crate::audit::{Damage, FRAME_HEADER, Fault, Frame, SEGMENT_HEADER, file_name};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// A record's payload and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The JSON.
    pub payload: Vec<u8>,
    /// The batch's time, in nanoseconds.
    pub time_ns: i64,
}

/// The record of this number, which must be durable; `None` where its segment was dropped.
pub fn find(dir: &Path, seq: u64) -> Result<Option<Found>, ReadError> {
    let files = segments(dir)?;
    let Some((first, path)) = files.iter().rev().find(|(first, _)| *first <= seq) else { return Ok(None) };
    let io = |error| ReadError::Io { path: path.clone(), error };
    let file = File::open(path).map_err(io)?;
    let mut at = *first;
    let mut offset = SEGMENT_HEADER as u64;
    loop {
        let damage = |fault| Damage { file: file_name(*first), offset, seq: at, fault };
        let Some((found, length)) = head(&file, offset).map_err(io)? else { return Err(damage(Fault::Cut).into()) };
        if found != at {
            return Err(damage(Fault::Sequence { found }).into());
        }
        if at == seq {
            let found = whole(&file, offset, length).map_err(io)?;
            return Ok(Some(found.ok_or_else(|| damage(Fault::Checksum))?));
        }
        offset += length as u64;
        at += 1;
    }
}

/// The record of this number, where it is known to begin; `None` where its segment was dropped.
pub fn find_at(dir: &Path, seq: u64, segment: u64, offset: u64) -> Result<Option<Found>, ReadError> {
    let path = dir.join(file_name(segment));
    let io = |error| ReadError::Io { path: path.clone(), error };
    let damage = |fault| Damage { file: file_name(segment), offset, seq, fault };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let Some((found, length)) = head(&file, offset).map_err(io)? else { return Err(damage(Fault::Cut).into()) };
    if found != seq {
        return Err(damage(Fault::Sequence { found }).into());
    }
    Ok(Some(whole(&file, offset, length).map_err(io)?.ok_or_else(|| damage(Fault::Checksum))?))
}

/// A whole record, if its checksum is right and what it holds can be unpacked.
fn whole(file: &File, offset: u64, length: usize) -> io::Result<Option<Found>> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset)?;
    let Some(frame) = Frame::read(&bytes) else { return Ok(None) };
    Ok(frame.payload.json().ok().map(|json| Found { payload: json.into_owned(), time_ns: frame.time_ns }))
}

/// The batch time of a sealed segment's last record, in nanoseconds; nothing of it is checked but the order.
pub fn last_time(sealed: &Sealed) -> io::Result<i64> {
    let file = File::open(&sealed.path)?;
    let (mut offset, mut time) = (SEGMENT_HEADER as u64, i64::MIN);
    while offset < sealed.length {
        let mut bytes = [0; FRAME_HEADER];
        file.read_exact_at(&mut bytes, offset)?;
        let length = Frame::claimed_length(&bytes).ok_or_else(|| io::Error::other("a record has a wrong length"))?;
        time = Frame::claimed_time(&bytes).unwrap_or(time);
        offset += (FRAME_HEADER + length) as u64;
    }
    Ok(time)
}

/// The last whole record of a segment that may still be written, by the heads alone; one less than its first where it has
/// none.
pub fn last_record(first: u64, path: &Path) -> io::Result<u64> {
    let file = File::open(path)?;
    let end = file.metadata()?.len();
    let (mut offset, mut last) = (SEGMENT_HEADER as u64, first.saturating_sub(1));
    while let Some((seq, length)) = head(&file, offset)?
        && seq == last + 1
        && offset + length as u64 <= end
    {
        last = seq;
        offset += length as u64;
    }
    Ok(last)
}

/// The last record of a segment that nothing is added to, by the heads alone; `None` where another record than the next
/// stands somewhere in it.
pub fn last_in_order(first: u64, path: &Path) -> io::Result<Option<u64>> {
    let file = File::open(path)?;
    let end = file.metadata()?.len();
    let (mut offset, mut last) = (SEGMENT_HEADER as u64, first.saturating_sub(1));
    while let Some((seq, length)) = head(&file, offset)?
        && offset + length as u64 <= end
    {
        if seq != last + 1 {
            return Ok(None);
        }
        last = seq;
        offset += length as u64;
    }
    Ok(Some(last))
}

/// What the head at this offset claims: sequence number and length of the whole record.
fn head(file: &File, offset: u64) -> io::Result<Option<(u64, usize)>> {
    let mut bytes = [0; FRAME_HEADER];
    match file.read_exact_at(&mut bytes, offset) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = Frame::claimed_length(&bytes);
    Ok(Frame::claimed_seq(&bytes).zip(length.map(|length| FRAME_HEADER + length)))
}
