//! Whether the journal's files follow each other, and whether it begins where the chain says that it may: of what a start
//! does not read, a deleted file would be seen by nobody.

use super::journal::{Anchor, ReadError, last_in_order, read_header, segments, walk_kept};
use crate::audit::{Damage, Fault, Frame, file_name, parse_body};
use crate::state::{DroppedSegment, Effect, JournalNote};
use std::path::Path;

/// The first records that are missing between two segments. Each head says where the segment before ends: only one that
/// ends elsewhere is looked into.
pub(super) fn first_gap(journal: &Path) -> Result<Option<Damage>, ReadError> {
    let files = segments(journal)?;
    for ((first, path), (next_first, next_path)) in files.iter().zip(files.iter().skip(1)) {
        // a head that cannot be read is told where the segment is read; a file may be dropped meanwhile
        let (Ok(header), Ok(next)) = (read_header(*first, path), read_header(*next_first, next_path)) else { continue };
        let Ok(length) = std::fs::metadata(path).map(|meta| meta.len()) else { continue };
        let follows = length == next.previous.length && !next.previous.abandoned;
        // one of another state is told as that
        if follows || header.writer != next.writer {
            continue;
        }
        let Ok(Some(last)) = last_in_order(*first, path) else { continue };
        if last + 1 < next.first_seq {
            return Ok(Some(gone(last + 1, next.first_seq - 1)));
        }
    }
    Ok(None)
}

/// What is missing before the first segment, where the chain does not say that it was dropped.
pub(super) fn unexplained(anchor: Anchor, dropped: &[DroppedSegment]) -> Option<Damage> {
    let head = anchor.head.to_string();
    let explains = |segment: &DroppedSegment| {
        // behind it, or before it: then nothing of what the chain said last is gone yet
        (segment.last_seq == anchor.seq && segment.head == head) || segment.first_seq == anchor.seq + 1
    };
    if dropped.iter().any(explains) {
        return None;
    }
    let before = dropped.iter().map(|segment| segment.last_seq).filter(|last| *last < anchor.seq).max();
    Some(gone(before.unwrap_or(0) + 1, anchor.seq))
}

fn gone(first: u64, last: u64) -> Damage {
    Damage { file: file_name(last + 1), offset: 0, seq: last + 1, fault: Fault::Gone { first, last } }
}

/// Every segment that the chain says was dropped, as the records that are left tell it.
pub(super) fn told_dropped(journal: &Path) -> Result<Vec<DroppedSegment>, ReadError> {
    let mut dropped = Vec::new();
    let mut visit = |_, frame: &Frame<'_>| {
        let json = frame.payload.json().map_err(|error| error.to_string())?;
        let body = parse_body(&json).map_err(|error| error.to_string())?;
        for entry in body.entries.iter().filter(|entry| entry.op == "journal.drop") {
            let effects: Vec<Effect> = serde_json::from_str(entry.effects.get()).map_err(|error| error.to_string())?;
            for effect in effects {
                if let Effect::Journal(JournalNote::Dropped(segments)) = effect {
                    dropped.extend(segments);
                }
            }
        }
        Ok(())
    };
    walk_kept(journal, &mut visit)?;
    Ok(dropped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Digest;

    fn segment(first_seq: u64, last_seq: u64) -> DroppedSegment {
        DroppedSegment { first_seq, last_seq, head: Digest::of(&last_seq.to_le_bytes()).to_string() }
    }

    #[test]
    fn a_journal_begins_where_the_chain_says_so() {
        let anchor = |seq: u64| Anchor { seq, head: Digest::of(&seq.to_le_bytes()) };
        let dropped = [segment(11, 20), segment(21, 30)];
        let missing = |anchor, dropped: &[_]| unexplained(anchor, dropped).map(|damage| damage.fault);
        for (begins_behind, wanted) in [
            (10, None),
            (20, None),
            (30, None),
            (25, Some(Fault::Gone { first: 21, last: 25 })),
            (40, Some(Fault::Gone { first: 31, last: 40 })),
            (5, Some(Fault::Gone { first: 1, last: 5 })),
        ] {
            assert_eq!(missing(anchor(begins_behind), &dropped), wanted, "{begins_behind}");
        }
        assert_eq!(missing(anchor(9), &[]), Some(Fault::Gone { first: 1, last: 9 }));
        let other = Anchor { seq: 30, head: Digest::of(b"another") };
        assert_eq!(missing(other, &dropped), Some(Fault::Gone { first: 21, last: 30 }));
    }
}
