//! Any bytes as files of a state directory: nothing panics, and no record, mark or checkpoint is believed that was not
//! written so.

use super::checkpoint::encode_section;
use super::*;
use proptest::prelude::*;
use serde_json::{Number, Value};

const NAME: &str = "00000000000000000001.seg";

/// What happens to a file's bytes.
#[derive(Clone, Debug)]
enum Harm {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Zero(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
    /// A stretch is written over another.
    Copy(prop::sample::Index, prop::sample::Index, usize),
    Remove(prop::sample::Index, usize),
}

fn harm() -> impl Strategy<Value = Harm> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        4 => (place(), 1..=u8::MAX).prop_map(|(at, mask)| Harm::Flip(at, mask)),
        1 => place().prop_map(Harm::Cut),
        1 => (place(), 1_usize..600).prop_map(|(at, length)| Harm::Zero(at, length)),
        1 => (place(), prop::collection::vec(any::<u8>(), 1..80)).prop_map(|(at, bytes)| Harm::Insert(at, bytes)),
        1 => (place(), place(), 1_usize..400).prop_map(|(from, to, length)| Harm::Copy(from, to, length)),
        1 => (place(), 1_usize..400).prop_map(|(at, length)| Harm::Remove(at, length)),
    ]
}

fn harmed(mut bytes: Vec<u8>, harms: &[Harm]) -> Vec<u8> {
    for harm in harms {
        let length = bytes.len();
        if length == 0 {
            break;
        }
        match harm {
            Harm::Flip(at, mask) => bytes[at.index(length)] ^= mask,
            Harm::Cut(at) => bytes.truncate(at.index(length)),
            Harm::Zero(at, many) => {
                let at = at.index(length);
                bytes[at..(at + many).min(length)].fill(0);
            }
            Harm::Insert(at, more) => {
                let at = at.index(length);
                bytes.splice(at..at, more.iter().copied());
            }
            Harm::Copy(from, to, many) => {
                let (from, to) = (from.index(length), to.index(length));
                let many = (*many).min(length - from).min(length - to);
                bytes.copy_within(from..from + many, to);
            }
            Harm::Remove(at, many) => {
                let at = at.index(length);
                bytes.drain(at..(at + many).min(length));
            }
        }
    }
    bytes
}

/// A segment with these payloads: its bytes, and each record's.
fn segment(payloads: &[Vec<u8>]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let writer = WriterId::from_bytes([9; 16]);
    let header = SegmentHeader {
        version: FORMAT_VERSION,
        writer,
        first_seq: 1,
        previous_hash: Digest::NONE,
        previous: Previous::NONE,
    };
    let (mut bytes, mut records, mut chain) = (header.encode().to_vec(), Vec::new(), Chain::START);
    for (time, payload) in payloads.iter().enumerate() {
        let (mut buffer, mut room) = (Vec::new(), Vec::new());
        let mut draft = FrameDraft::new(&mut buffer);
        draft.payload().extend_from_slice(payload);
        draft.pack(&mut room);
        chain = draft.finish(&chain, i64::try_from(time).unwrap()).unwrap();
        bytes.extend_from_slice(&buffer);
        records.push(buffer);
    }
    (bytes, records)
}

/// The records that a reader believes, and whether it is content.
fn believed(bytes: &[u8], durable: u64) -> (Vec<Vec<u8>>, bool) {
    let (mut seen, mut chain) = (Vec::new(), Chain::START);
    let result = scan(NAME, bytes, End::Open { durable }, &mut chain, &mut |_, frame| {
        seen.push(frame.bytes.to_vec());
        Ok(())
    });
    (seen, result.is_ok())
}

fn checkpoint(sections: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let chain = Chain { seq: 7, head: Digest::of(b"seven"), time_ns: 3 };
    let mut bytes = CheckpointHeader { writer: WriterId::from_bytes([1; 16]), chain }.encode().to_vec();
    for (kind, content) in sections {
        let kind = [SectionKind::Effects, SectionKind::Accounts, SectionKind::Keys][usize::from(kind % 3)];
        bytes.extend(encode_section(kind, content));
    }
    let end = encode_section(SectionKind::End, Digest::of(&bytes).as_bytes());
    bytes.extend(end);
    bytes
}

fn reads(bytes: &[u8]) -> bool {
    CheckpointHeader::decode(bytes).is_ok() && read_sections(bytes, &mut |_, _| Ok(())).is_ok()
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-1_000_i32..1_000).prop_map(|n| Value::from(f64::from(n))),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("\\PC{0,4}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The same value, spelt otherwise: fields in another order, whole numbers as fractions.
fn respelt(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(respelt).collect(),
        Value::Object(map) => map.iter().rev().map(|(key, inner)| (key.clone(), respelt(inner))).collect(),
        Value::Number(number) => match number.as_i64().filter(|n| n.abs() < 1 << 53) {
            #[expect(clippy::cast_precision_loss, reason = "small enough")]
            Some(whole) => Number::from_f64(whole as f64).map_or_else(|| value.clone(), Value::Number),
            None => value.clone(),
        },
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..2_000), durable in 0_u64..3) {
        let (seen, _) = believed(&bytes, durable);
        prop_assert!(seen.is_empty(), "nobody wrote a record");
        prop_assert!(Mark::decode(&bytes).is_none() && SegmentHeader::decode(&bytes).is_err() && !reads(&bytes));
        let _ = (Frame::read(&bytes), Frame::claimed_length(&bytes), parse_body(&bytes), check_version(&bytes));
        // behind a good head
        let (mut whole, _) = segment(&[]);
        whole.extend(&bytes);
        prop_assert!(believed(&whole, durable).0.is_empty());
    }

    #[test]
    fn of_a_harmed_segment_only_what_was_written_is_believed(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 1..6),
        harms in prop::collection::vec(harm(), 1..4),
        durable in any::<prop::sample::Index>(),
    ) {
        let (whole, records) = segment(&payloads);
        let durable = durable.index(records.len() + 1);
        let bytes = harmed(whole, &harms);
        let (seen, content) = believed(&bytes, durable as u64);
        prop_assert!(seen.len() <= records.len());
        for (seen, written) in seen.iter().zip(&records) {
            prop_assert!(seen == written, "a record that nobody wrote");
        }
        prop_assert!(!content || seen.len() >= durable, "what was durable is missing, and nobody says so");
    }

    #[test]
    fn a_harmed_checkpoint_is_refused(
        sections in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..300)), 0..5),
        harms in prop::collection::vec(harm(), 1..3),
    ) {
        let whole = checkpoint(&sections);
        prop_assert!(reads(&whole));
        let bytes = harmed(whole.clone(), &harms);
        prop_assert!(bytes == whole || !reads(&bytes));
    }

    #[test]
    fn canonical_text_is_one_and_stays_as_it_is(value in json()) {
        let text = canonical_json(&value);
        let again: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(canonical_json(&again), text.clone());
        prop_assert_eq!(canonical_json(&respelt(&value)), text);
    }
}
