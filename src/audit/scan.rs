//! Reads one segment from end to end: every record whole, in order, chained. Tells a torn end, which a crash leaves and
//! which loses nothing that was answered, from damage, which stops everything.

use super::segment::HeaderError;
use super::{Chain, FRAME_HEADER, Frame, SEGMENT_HEADER, SegmentHeader, WriterId};

/// What follows the segment.
#[derive(Clone, Copy, Debug)]
pub enum End<'a> {
    /// Nothing: it is the last one, and its end may be torn.
    Open {
        /// The last record that is known to have been durable, 0 for none: up to it, nothing is a crash's doing.
        durable: u64,
    },
    /// The segment of this header, which says where this one ends.
    Sealed(&'a SegmentHeader),
}

/// How far a segment is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Bytes up to the end of the last good record.
    pub length: u64,
    /// Bytes behind that: the torn end of the last segment, or the dead end of an abandoned one.
    pub dropped: u64,
}

/// The first bad place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}, offset {offset}, record {seq}: {fault}")]
pub struct Damage {
    /// The file's name.
    pub file: String,
    /// Where in it the bad record, or the bad header, begins.
    pub offset: u64,
    /// The record that should stand there.
    pub seq: u64,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong at a bad place, and what it means.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file's head.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Of another state directory.
    #[error(
        "the segment belongs to writer {found}, and the ones before it to {expected}: files of two states are mixed"
    )]
    Writer {
        /// The writer of the segments before.
        expected: WriterId,
        /// The writer named here.
        found: WriterId,
    },
    /// A segment is missing before this one.
    #[error("the segment begins with record {found}: what lies between is missing (a segment was deleted or renamed)")]
    Missing {
        /// The first record of this segment.
        found: u64,
    },
    /// Records that no file has, though the chain does not say that they were dropped.
    #[error("the records {first} to {last} are missing before it: a segment was deleted, renamed or cut short")]
    Gone {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// The records run out before the next segment begins.
    #[error("the segment ends here, and the next one begins with record {next}: records between them are missing")]
    Ends {
        /// The first record of the next segment.
        next: u64,
    },
    /// A record's bytes do not give its checksum.
    #[error("the record's checksum is wrong: bytes of it were changed after it was written")]
    Checksum,
    /// The file ends inside a record that others follow.
    #[error("the file is cut short inside a record")]
    Cut,
    /// The journal ends before what was durable.
    #[error("the journal ends here, and record {durable} was on stable storage once: its end was cut off")]
    Lost {
        /// The last record that is known to have been durable.
        durable: u64,
    },
    /// Another number than the next.
    #[error("a record with sequence number {found} stands here: records were lost, repeated or moved")]
    Sequence {
        /// The number found.
        found: u64,
    },
    /// The record does not name the one before it.
    #[error("the record does not follow the one before it (its hash of it differs): one of the two was replaced")]
    Chain,
    /// Batch time before the last one's.
    #[error("the record's batch time is before the last one's")]
    Time,
    /// The next segment says that this one ends elsewhere.
    #[error("the next segment says that this one ends at offset {expected}")]
    Length {
        /// Where it should end.
        expected: u64,
    },
    /// The payload is not what this version writes.
    #[error("the record is whole, but its content cannot be read: {0}")]
    Payload(String),
}

/// Reads the segment `bytes` of the file `file`, which must go on from `chain`; gives every record with its offset to
/// `visit`, in order, and moves `chain` on. What `visit` refuses is damage of that record's payload.
pub fn scan<'a>(
    file: &str,
    bytes: &'a [u8],
    end: End<'_>,
    chain: &mut Chain,
    visit: &mut dyn FnMut(u64, &Frame<'a>) -> Result<(), String>,
) -> Result<Extent, Damage> {
    let damage = |offset: usize, seq, fault| Damage { file: file.to_owned(), offset: offset as u64, seq, fault };
    check_header(file, bytes, chain).map_err(|fault| damage(0, chain.seq + 1, fault))?;

    let mut offset = SEGMENT_HEADER;
    loop {
        let expected = chain.seq + 1;
        match end {
            End::Sealed(next) if expected == next.first_seq => {
                return sealed(bytes, offset, next, chain).map_err(|fault| damage(offset, expected, fault));
            }
            End::Sealed(next) if offset == bytes.len() => {
                return Err(damage(offset, expected, Fault::Ends { next: next.first_seq }));
            }
            End::Open { durable } if offset == bytes.len() && expected <= durable => {
                return Err(damage(offset, expected, Fault::Lost { durable }));
            }
            End::Open { .. } if offset == bytes.len() => return Ok(Extent { length: offset as u64, dropped: 0 }),
            _ => {}
        }
        let rest = &bytes[offset..];
        let Some(frame) = Frame::read(rest) else {
            let verdict = match end {
                End::Open { durable } => judge_end(rest, expected, durable),
                End::Sealed(_) => Err(bad_record(rest)),
            };
            verdict.map_err(|fault| damage(offset, expected, fault))?;
            return Ok(Extent { length: offset as u64, dropped: rest.len() as u64 });
        };
        let next = follow(chain, &frame).map_err(|fault| damage(offset, expected, fault))?;
        visit(offset as u64, &frame).map_err(|why| damage(offset, expected, Fault::Payload(why)))?;
        *chain = next;
        offset += frame.bytes.len();
    }
}

fn check_header(file: &str, bytes: &[u8], chain: &Chain) -> Result<(), Fault> {
    let header = SegmentHeader::decode(bytes)?;
    let named = super::first_seq(file);
    if header.first_seq != chain.seq + 1 || named.is_some_and(|seq| seq != header.first_seq) {
        return Err(Fault::Missing { found: header.first_seq });
    }
    if header.previous_hash != chain.head {
        return Err(Fault::Chain);
    }
    Ok(())
}

/// The end of a segment that another follows.
fn sealed(bytes: &[u8], offset: usize, next: &SegmentHeader, chain: &Chain) -> Result<Extent, Fault> {
    if next.previous.length != offset as u64 {
        return Err(Fault::Length { expected: next.previous.length });
    }
    if next.previous_hash != chain.head {
        return Err(Fault::Chain);
    }
    let dropped = (bytes.len() - offset) as u64;
    if dropped > 0 && !next.previous.abandoned {
        return Err(Fault::Length { expected: next.previous.length });
    }
    Ok(Extent { length: offset as u64, dropped })
}

/// The chain with this record, if it is the one that follows.
fn follow(chain: &Chain, frame: &Frame<'_>) -> Result<Chain, Fault> {
    if frame.seq != chain.seq + 1 {
        return Err(Fault::Sequence { found: frame.seq });
    }
    if frame.previous != chain.head {
        return Err(Fault::Chain);
    }
    if frame.time_ns < chain.time_ns {
        return Err(Fault::Time);
    }
    Ok(Chain { seq: frame.seq, head: frame.hash(), time_ns: frame.time_ns })
}

/// What is wrong with a record that cannot be read, and should be there.
fn bad_record(rest: &[u8]) -> Fault {
    match Frame::claimed_length(rest) {
        _ if rest.len() < FRAME_HEADER => Fault::Cut,
        Some(length) if rest.len() < FRAME_HEADER + length && !whole_but_for_its_length(rest) => Fault::Cut,
        _ => Fault::Checksum,
    }
}

/// Whether `rest`, which does not begin with a good record, is the torn end of the last segment: the record that was being
/// written when the machine or the daemon died, cut short or with some of its sectors never written. The writer waits for
/// each record to be durable before it writes the next, so a torn record is the last one, and nobody was answered from it.
/// What was durable once, or is followed by a good record, is damaged.
fn judge_end(rest: &[u8], expected: u64, durable: u64) -> Result<(), Fault> {
    if expected <= durable || a_record_follows(rest, expected) { Err(bad_record(rest)) } else { Ok(()) }
}

/// Whether a good record stands anywhere in `rest` behind its first byte.
fn a_record_follows(rest: &[u8], expected: u64) -> bool {
    let most = expected.saturating_add((rest.len() / FRAME_HEADER) as u64);
    (1..rest.len().saturating_sub(FRAME_HEADER)).any(|at| {
        let rest = &rest[at..];
        // the sequence number rules nearly every offset out before a checksum is computed
        Frame::claimed_seq(rest).is_some_and(|seq| (expected..=most).contains(&seq)) && Frame::read(rest).is_some()
    })
}

/// Whether `rest` is a whole record of which nothing but the length was changed.
fn whole_but_for_its_length(rest: &[u8]) -> bool {
    let (Some(checksum), Ok(length)) =
        (super::frame::array(rest, 0).map(u32::from_le_bytes), u32::try_from(rest.len().saturating_sub(FRAME_HEADER)))
    else {
        return false;
    };
    let mut of_rest = crc32fast::Hasher::new();
    of_rest.update(&rest[8..]);
    super::frame::as_stored(length).into_iter().any(|length| {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&length.to_le_bytes());
        hasher.combine(&of_rest);
        hasher.finalize() == checksum
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Digest, FORMAT_VERSION, FrameDraft, Previous};

    const TORN: End<'_> = End::Open { durable: 0 };
    const WRITER: WriterId = WriterId::from_bytes([9; 16]);

    /// A segment with these payloads, and the offsets at which its records begin.
    fn segment(payloads: &[&str]) -> (Vec<u8>, Vec<usize>, Chain) {
        let header = SegmentHeader {
            version: FORMAT_VERSION,
            writer: WRITER,
            first_seq: 1,
            previous_hash: Digest::NONE,
            previous: Previous::NONE,
        };
        let (mut bytes, mut offsets, mut chain) = (header.encode().to_vec(), Vec::new(), Chain::START);
        let (mut buffer, mut room) = (Vec::new(), Vec::new());
        for (time, payload) in payloads.iter().enumerate() {
            let mut draft = FrameDraft::new(&mut buffer);
            draft.payload().extend_from_slice(payload.as_bytes());
            draft.pack(&mut room);
            chain = draft.finish(&chain, i64::try_from(time).unwrap()).unwrap();
            offsets.push(bytes.len());
            bytes.extend_from_slice(&buffer);
        }
        (bytes, offsets, chain)
    }

    fn read(bytes: &[u8], end: End<'_>) -> (Result<Extent, Damage>, Chain) {
        let mut chain = Chain::START;
        let result = scan("00000000000000000001.seg", bytes, end, &mut chain, &mut |_, _| Ok(()));
        (result, chain)
    }

    fn header_after(chain: &Chain, length: usize, abandoned: bool) -> SegmentHeader {
        SegmentHeader {
            version: FORMAT_VERSION,
            writer: WRITER,
            first_seq: chain.seq + 1,
            previous_hash: chain.head,
            previous: Previous { length: length as u64, abandoned },
        }
    }

    #[test]
    fn an_end_cut_at_any_byte_is_torn() {
        let (bytes, offsets, _) = segment(&["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]);
        for cut in offsets[2]..bytes.len() {
            let (result, chain) = read(&bytes[..cut], TORN);
            let wanted = Extent { length: offsets[2] as u64, dropped: (cut - offsets[2]) as u64 };
            assert_eq!((result, chain.seq), (Ok(wanted), 2), "cut at {cut}");
        }
    }

    #[test]
    fn any_changed_byte_is_damage_at_its_record() {
        let (bytes, offsets, _) = segment(&["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]);
        for position in 0..bytes.len() {
            for change in [0x01, 0x80, 0xff, bytes[position]] {
                let mut bytes = bytes.clone();
                bytes[position] ^= change;
                if change == 0 {
                    continue;
                }
                let begins = offsets.iter().rev().find(|begin| **begin <= position).copied().unwrap_or(0);
                let damage = read(&bytes, End::Open { durable: 3 })
                    .0
                    .expect_err(&format!("byte {position} changed by {change:x}"));
                assert_eq!(damage.offset, begins as u64, "byte {position} changed by {change:x}: {damage}");
            }
        }
    }

    /// The last record may be changed in whatever way: as long as nobody knows it to have been durable, it counts as never
    /// written, and as damage otherwise. One that another follows is damaged in either case.
    #[test]
    fn the_last_record_is_torn_unless_it_was_durable() {
        // nothing that packing would make shorter
        let noise: String = (0..94).map(|n: u32| Digest::of(&n.to_le_bytes()).to_string()).collect();
        let long = format!("{{\"long\":\"{}\"}}", &noise[..3000]);
        let (bytes, offsets, _) = segment(&["{\"a\":1}", &long]);
        let mut more = bytes.clone();
        more.extend([0; 5000]);
        for durable in [0, 2] {
            let wanted = Ok(Extent { length: bytes.len() as u64, dropped: 5000 });
            assert_eq!(read(&more, End::Open { durable }).0, wanted, "zeros behind the last record");
        }
        for (from, to) in [(512, bytes.len()), (1024, 1536), (2048, bytes.len()), (offsets[1], 512), (700, 900)] {
            let mut unwritten = bytes.clone();
            unwritten[from..to].fill(0);
            let (result, chain) = read(&unwritten, TORN);
            assert_eq!((result.unwrap().length, chain.seq), (offsets[1] as u64, 1), "zeros from {from} to {to}");
            let (result, _) = read(&unwritten, End::Open { durable: 1 });
            assert!(result.is_ok(), "the record before it was durable");
            let (result, _) = read(&unwritten, End::Open { durable: 2 });
            assert_eq!(result.unwrap_err().offset, offsets[1] as u64, "zeros from {from} to {to}");
            unwritten.extend(&bytes[offsets[1]..]);
            assert_eq!(read(&unwritten, TORN).0.unwrap_err().fault, Fault::Checksum, "a good record follows");
        }
        let lost = read(&bytes, End::Open { durable: 3 }).0.unwrap_err();
        assert_eq!((lost.fault, lost.seq), (Fault::Lost { durable: 3 }, 3));
        assert!(read(&bytes[..bytes.len() - 7], End::Open { durable: 2 }).0.is_err(), "a durable end cut off");
    }

    #[test]
    fn order_and_chain() {
        let (bytes, offsets, chain) = segment(&["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]);
        let without_second = [&bytes[..offsets[1]], &bytes[offsets[2]..]].concat();
        assert_eq!(read(&without_second, TORN).0.unwrap_err().fault, Fault::Sequence { found: 3 });
        let (other, others, _) = segment(&["{\"a\":9}", "{\"b\":2}", "{\"c\":3}"]);
        let replaced = [&bytes[..offsets[1]], &other[others[1]..]].concat();
        assert_eq!(read(&replaced, TORN).0.unwrap_err().fault, Fault::Chain);

        let next = header_after(&chain, bytes.len(), false);
        assert_eq!(read(&bytes, End::Sealed(&next)).0, Ok(Extent { length: bytes.len() as u64, dropped: 0 }));
        let (result, _) = read(&bytes[..offsets[2]], End::Sealed(&next));
        assert_eq!(result.unwrap_err().fault, Fault::Ends { next: 4 });
        let (result, _) = read(&bytes[..bytes.len() - 1], End::Sealed(&next));
        assert_eq!(result.unwrap_err().fault, Fault::Cut);
        let longer = [&bytes[..], b"x"].concat();
        assert_eq!(
            read(&longer, End::Sealed(&next)).0.unwrap_err().fault,
            Fault::Length { expected: bytes.len() as u64 }
        );
        let abandoned = header_after(&chain, bytes.len(), true);
        assert_eq!(
            read(&longer, End::Sealed(&abandoned)).0,
            Ok(Extent { length: bytes.len() as u64, dropped: 1 }),
            "what follows the last durable record of an abandoned segment is dead"
        );
    }
}
