//! The journal against a model: whatever fails and wherever it is cut, what was acknowledged is there after a restart,
//! and what was refused is not.

use crate::faulty_disk::FaultyDisk;
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;
use tollgate::audit::{Fault, FrameDraft, WriterId};
use tollgate::store::sled::journal::{Disk, Journal, JournalError, OsDisk, ReadError, cut_torn_end, segments, walk};

const WRITER: WriterId = WriterId::from_bytes([3; 16]);

/// Recovers as a daemon does: reads everything, cuts a torn end off, goes on behind it.
fn recover(dir: &Path, disk: FaultyDisk, roll_at_bytes: u64) -> (Journal, Vec<Vec<u8>>) {
    let mut payloads = Vec::new();
    let walked = walk(dir, &mut |_, frame| {
        payloads.push(frame.payload.json().unwrap().into_owned());
        Ok(())
    })
    .unwrap();
    if let Some(torn) = &walked.torn {
        cut_torn_end(torn).unwrap();
    }
    (Journal::open(Arc::new(disk), dir, &walked, WRITER, roll_at_bytes).unwrap(), payloads)
}

fn append(journal: &mut Journal, payload: &[u8]) -> Result<(), JournalError> {
    let mut buffer = Vec::new();
    let mut draft = FrameDraft::new(&mut buffer);
    draft.payload().extend_from_slice(payload);
    draft.pack(&mut Vec::new());
    let next = draft.finish(journal.chain(), i64::try_from(journal.chain().seq).unwrap()).unwrap();
    journal.append(&buffer, next).map(|_| ())
}

fn payload(number: usize, length: usize) -> Vec<u8> {
    format!("{{\"n\":{number},\"x\":\"{}\"}}", "x".repeat(length)).into_bytes()
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    FailWrite {
        written: usize,
        creates: usize,
    },
    FailSync {
        creates: usize,
    },
    /// Killed in the middle of a write: so many bytes of a record are there.
    Tear {
        length: usize,
        written: usize,
    },
    /// Killed, and the file system left zeros at the end.
    Zeros(usize),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0usize..300).prop_map(Step::Append),
        1 => (0usize..400, 0usize..3).prop_map(|(written, creates)| Step::FailWrite { written, creates }),
        1 => (0usize..3).prop_map(|creates| Step::FailSync { creates }),
        1 => (0usize..300, 0usize..400).prop_map(|(length, written)| Step::Tear { length, written }),
        1 => (1usize..700).prop_map(Step::Zeros),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn what_was_acknowledged_is_there(steps in prop::collection::vec(step(), 1..40), roll_at_bytes in 200u64..2000) {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let mut acknowledged: Vec<Vec<u8>> = Vec::new();
        // refused, but whole on a disk that then refused everything: it may count after a restart
        let mut perhaps: Option<Vec<u8>> = None;
        let (mut journal, _) = recover(dir.path(), disk.clone(), roll_at_bytes);
        for (number, step) in steps.into_iter().enumerate() {
            let restart = match step {
                Step::Append(length) => {
                    let bytes = payload(number, length);
                    match append(&mut journal, &bytes) {
                        Ok(()) => { acknowledged.push(bytes); perhaps = None; }
                        Err(error) => prop_assert!(matches!(error, JournalError::Failed(_)), "nothing else is broken"),
                    }
                    false
                }
                Step::FailWrite { written, creates } => {
                    let bytes = payload(number, 200);
                    disk.order(|trouble| {
                        if !journal.is_failed() { trouble.write_fails_after = Some(written); }
                        trouble.create_fails = creates;
                    });
                    refused(append(&mut journal, &bytes), &mut journal, &mut acknowledged, &mut perhaps, bytes);
                    disk.calm();
                    false
                }
                Step::FailSync { creates } => {
                    let bytes = payload(number, 50);
                    disk.order(|trouble| {
                        trouble.sync_fails = !journal.is_failed();
                        trouble.create_fails = creates;
                    });
                    refused(append(&mut journal, &bytes), &mut journal, &mut acknowledged, &mut perhaps, bytes);
                    disk.calm();
                    false
                }
                Step::Tear { length, written } => {
                    if !journal.is_failed() {
                        let mut buffer = Vec::new();
                        let mut draft = FrameDraft::new(&mut buffer);
                        draft.payload().extend_from_slice(&payload(number, length));
                        draft.finish(journal.chain(), i64::MAX).unwrap();
                        let cut = written.min(buffer.len() - 1);
                        grow(dir.path(), &buffer[..cut]);
                    }
                    true
                }
                Step::Zeros(count) => {
                    if !journal.is_failed() { grow(dir.path(), &vec![0; count]); }
                    true
                }
                Step::Restart => true,
            };
            if restart {
                drop(journal);
                let (again, payloads) = recover(dir.path(), disk.clone(), roll_at_bytes);
                journal = again;
                if payloads.len() > acknowledged.len() {
                    acknowledged.extend(perhaps.take());
                }
                perhaps = None;
                prop_assert_eq!(&payloads, &acknowledged);
            }
        }
        drop(journal);
        let (_, payloads) = recover(dir.path(), disk, roll_at_bytes);
        prop_assert!(payloads == acknowledged
            || perhaps.is_some_and(|last| payloads.last() == Some(&last) && payloads.len() == acknowledged.len() + 1));
    }
}

/// After a disturbed append: either it was refused, or the trouble met another call (a segment that rolled) and it was
/// taken after all.
fn refused(
    result: Result<(), JournalError>,
    journal: &mut Journal,
    acknowledged: &mut Vec<Vec<u8>>,
    perhaps: &mut Option<Vec<u8>>,
    bytes: Vec<u8>,
) {
    match result {
        Ok(()) => {
            acknowledged.push(bytes);
            *perhaps = None;
        }
        Err(_) if journal.is_failed() && perhaps.is_none() => *perhaps = Some(bytes),
        Err(_) if journal.is_failed() => {}
        Err(_) => *perhaps = None,
    }
}

fn grow(dir: &Path, bytes: &[u8]) {
    let (_, path) = segments(dir).unwrap().pop().unwrap();
    OsDisk.open(&path).unwrap().append(bytes).unwrap();
}

fn journal_of(dir: &Path, records: usize, roll_at_bytes: u64) {
    let (mut journal, _) = recover(dir, FaultyDisk::default(), roll_at_bytes);
    for number in 0..records {
        append(&mut journal, &payload(number, 40)).unwrap();
    }
    journal.mark().unwrap();
}

fn damage(dir: &Path) -> tollgate::audit::Damage {
    match walk(dir, &mut |_, _| Ok(())) {
        Err(ReadError::Damage(damage)) => damage,
        other => panic!("damage expected, not {other:?}"),
    }
}

#[test]
fn a_missing_segment_is_named() {
    let dir = tempfile::tempdir().unwrap();
    journal_of(dir.path(), 12, 400);
    let files = segments(dir.path()).unwrap();
    assert!(files.len() > 3, "several segments");
    let (_, middle) = &files[1];
    let kept = std::fs::read(middle).unwrap();
    std::fs::remove_file(middle).unwrap();
    let found = damage(dir.path());
    assert_eq!(found.fault, Fault::Ends { next: files[2].0 });
    assert_eq!(found.seq, files[1].0, "the first record that is missing");
    std::fs::write(middle, kept).unwrap();
    assert!(walk(dir.path(), &mut |_, _| Ok(())).is_ok());
    std::fs::remove_file(&files[0].1).unwrap();
    assert_eq!(damage(dir.path()).fault, Fault::Missing { found: files[1].0 });
}

#[test]
fn any_changed_byte_of_several_segments_is_found() {
    let dir = tempfile::tempdir().unwrap();
    journal_of(dir.path(), 7, 400);
    let files = segments(dir.path()).unwrap();
    assert!(files.len() > 1, "several segments");
    for (_, path) in &files {
        let whole = std::fs::read(path).unwrap();
        for position in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[position] ^= 0x11;
            std::fs::write(path, &bytes).unwrap();
            let found = damage(dir.path());
            assert_eq!(Some(found.file.as_str()), path.file_name().unwrap().to_str(), "byte {position}: {found}");
            assert!(found.offset <= position as u64, "byte {position}: {found}");
        }
        std::fs::write(path, &whole).unwrap();
    }
}

#[test]
fn another_states_segment_is_refused() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    journal_of(ours.path(), 7, 400);
    let walked = walk(theirs.path(), &mut |_, _| Ok(())).unwrap();
    let other = WriterId::from_bytes([4; 16]);
    let mut journal = Journal::open(Arc::new(OsDisk), theirs.path(), &walked, other, 400).unwrap();
    for number in 0..7 {
        append(&mut journal, &payload(number, 40)).unwrap();
    }
    let (_, last) = segments(ours.path()).unwrap().pop().unwrap();
    std::fs::copy(theirs.path().join(last.file_name().unwrap()), &last).unwrap();
    let found = damage(ours.path());
    assert!(matches!(found.fault, Fault::Writer { .. }), "{found}");
    assert_eq!(Some(found.file.as_str()), last.file_name().unwrap().to_str());
}

/// Whoever heard an answer from the last record finds it or hears that it was changed, also where the process was killed before
/// it had a quiet moment.
#[test]
fn a_changed_byte_in_the_last_record_is_no_torn_end() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = recover(dir.path(), FaultyDisk::default(), 1 << 20);
    for number in 1..4 {
        append(&mut journal, &payload(number, 40)).unwrap();
    }
    drop(journal);
    let (_, path) = segments(dir.path()).unwrap().pop().unwrap();
    let good = std::fs::read(&path).unwrap();
    for back in [1, 40, 90] {
        let mut bytes = good.clone();
        let at = bytes.len() - back;
        bytes[at] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let found = walk(dir.path(), &mut |_, _| Ok(()));
        assert!(matches!(found, Err(ReadError::Damage(_))), "{back} bytes from the end: {found:?}");
    }
    std::fs::write(&path, &good[..good.len() - 1]).unwrap();
    assert!(walk(dir.path(), &mut |_, _| Ok(())).is_err(), "a last byte cut off");
    std::fs::write(&path, [&good[..], b"torn"].concat()).unwrap();
    assert_eq!(walk(dir.path(), &mut |_, _| Ok(())).unwrap().torn.unwrap().bytes, 4, "what follows is a crash's doing");
}

/// As on Linux: after a failed flush the page cache has the record, counts it as written, and the disk does not have it.
#[test]
fn what_a_failed_flush_left_is_written_again_before_anything_follows_it() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let (mut journal, _) = recover(dir.path(), disk.clone(), 1 << 20);
    append(&mut journal, &payload(1, 40)).unwrap();
    journal.mark().unwrap();
    append(&mut journal, &payload(2, 40)).unwrap();
    disk.order(|trouble| {
        trouble.sync_fails = true;
        trouble.create_fails = 1;
    });
    assert!(matches!(append(&mut journal, &payload(3, 40)), Err(JournalError::Failed(_))));
    drop(journal);
    disk.calm();
    let (mut journal, found) = recover(dir.path(), disk.clone(), 1 << 20);
    assert_eq!(found.len(), 3, "the page cache has it, so it counts");
    append(&mut journal, &payload(4, 40)).unwrap();
    drop(journal);
    disk.cut_power(dir.path());
    let (_, kept) = recover(dir.path(), disk, 1 << 20);
    assert_eq!(kept, [1, 2, 3, 4].map(|number| payload(number, 40)), "what was answered behind it is there");
}
