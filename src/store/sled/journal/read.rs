//! Reading: every segment of a directory in order, every record checked on the way. The start, `audit verify`, exports
//! and backups all read through [`walk`].

use crate::audit::{
    Chain, Damage, Digest, End, Extent, Fault, Frame, MARK_FILE, Mark, SEGMENT_HEADER, SegmentHeader, WriterId,
    file_name, first_seq, scan,
};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// What a walk found.
#[derive(Debug)]
pub struct Walk {
    /// The last record.
    pub chain: Chain,
    /// The segments that were read, in order.
    pub segments: Vec<Segment>,
    /// Segments before those, which were not, and their bytes.
    pub earlier: (usize, u64),
    /// What the first segment that was read goes on from, where it is not the first of all.
    pub anchor: Option<Anchor>,
    /// The end that a crash left of the last one.
    pub torn: Option<Torn>,
    /// Where in the last segment the records begin that no mark names as durable.
    pub unmarked: u64,
    /// What the last segment holds, unpacked.
    pub open_json: u64,
}

/// The record that a journal whose first segments were dropped goes on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Its sequence number.
    pub seq: u64,
    /// Its hash, as the first segment that is there gives it.
    pub head: Digest,
}

/// One segment, as far as it is good.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its file.
    pub path: PathBuf,
    /// Its head.
    pub header: SegmentHeader,
    /// Bytes up to the end of its last good record.
    pub length: u64,
    /// Bytes behind that, which count for nothing.
    pub dropped: u64,
    /// Its last record; one less than its first where it has none.
    pub last_seq: u64,
}

/// An end cut short by a crash. Nobody ever got an answer from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The last segment's file.
    pub path: PathBuf,
    /// Where its last good record ends.
    pub offset: u64,
    /// Bytes behind that.
    pub bytes: u64,
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// First record of its segment.
    pub segment: u64,
    /// Where in the file it begins.
    pub offset: u64,
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file cannot be read.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A bad place.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// The mark of what is durable was changed.
    #[error("{0}: bytes of it were changed, or it is not of this version")]
    Mark(PathBuf),
}

/// The segment files of a directory, by their first record, in order. Other files are not looked at.
pub fn segments(dir: &Path) -> Result<Vec<(u64, PathBuf)>, ReadError> {
    let io = |error| ReadError::Io { path: dir.to_owned(), error };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(io)? {
        let entry = entry.map_err(io)?;
        if let Some(seq) = entry.file_name().to_str().and_then(first_seq) {
            found.push((seq, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The mark of what is durable, if there is one.
pub fn read_mark(dir: &Path) -> Result<Option<Mark>, ReadError> {
    let path = dir.join(MARK_FILE);
    let mut before = None;
    loop {
        match fs::read(&path) {
            Ok(bytes) => match Mark::decode(&bytes) {
                Some(mark) => return Ok(Some(mark)),
                None if before.as_ref() == Some(&bytes) => return Err(ReadError::Mark(path)),
                // it may just be written
                None => before = Some(bytes),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ReadError::Io { path, error }),
        }
    }
}

/// Given every record, in order.
type Visit<'a> = &'a mut dyn FnMut(Place, &Frame<'_>) -> Result<(), String>;

/// Reads every segment of `dir`, which must begin with the first of all, and gives every record to `visit`, in order.
pub fn walk(dir: &Path, visit: Visit<'_>) -> Result<Walk, ReadError> {
    walk_after(dir, &Chain::START, read_mark(dir)?, visit)
}

/// The same for a journal that may begin behind segments that were dropped: its anchor is told, for the caller to judge.
pub fn walk_kept(dir: &Path, visit: Visit<'_>) -> Result<Walk, ReadError> {
    let files = segments(dir)?;
    let Some(anchor) = anchor_of(&files)? else { return walk(dir, visit) };
    let start = Chain { seq: anchor.seq, head: anchor.head, time_ns: i64::MIN };
    let walked = walk_after(dir, &start, read_mark(dir)?, visit)?;
    Ok(Walk { anchor: Some(anchor), ..walked })
}

/// What the first segment of `dir` goes on from, where it is not the first of all.
pub fn anchor(dir: &Path) -> Result<Option<Anchor>, ReadError> {
    anchor_of(&segments(dir)?)
}

fn anchor_of(files: &[(u64, PathBuf)]) -> Result<Option<Anchor>, ReadError> {
    let Some((seq, path)) = files.first().filter(|(seq, _)| *seq > 1) else { return Ok(None) };
    let first = read_header(*seq, path)?;
    Ok(Some(Anchor { seq: first.first_seq.saturating_sub(1), head: first.previous_hash }))
}

/// Reads the segments behind a record that is the last one of its segment. Up to the record that `mark` names, nothing may
/// be missing at the end.
pub fn walk_after(dir: &Path, start: &Chain, mark: Option<Mark>, visit: Visit<'_>) -> Result<Walk, ReadError> {
    let files = segments(dir)?;
    let skipped = files.iter().skip(1).take_while(|(seq, _)| *seq <= start.seq + 1).count();
    let (earlier, files) = files.split_at(skipped);
    let bytes = earlier.iter().filter_map(|(_, path)| fs::metadata(path).ok()).map(|meta| meta.len()).sum();
    let durable = mark.map_or(0, |mark| mark.seq);
    let mut walk = Walk {
        chain: *start,
        segments: Vec::with_capacity(files.len()),
        earlier: (earlier.len(), bytes),
        anchor: None,
        torn: None,
        unmarked: 0,
        open_json: 0,
    };
    let mut writer = None;
    for (index, (seq, path)) in files.iter().enumerate() {
        let next = files.get(index + 1).map(|(seq, path)| read_header(*seq, path)).transpose()?;
        let bytes = fs::read(path).map_err(|error| ReadError::Io { path: path.clone(), error })?;
        let name = file_name(*seq);
        let header = decode(*seq, &bytes)?;
        // before what it holds is compared: of another state's segment nothing fits
        same_writer(&name, &mut writer, &header)?;
        if let Some((next, (seq, _))) = next.as_ref().zip(files.get(index + 1)) {
            same_writer(&file_name(*seq), &mut writer, next)?;
        }
        let end = next.as_ref().map_or(End::Open { durable }, End::Sealed);
        let mut unmarked = SEGMENT_HEADER as u64;
        let mut json = 0;
        let extent = scan(&name, &bytes, end, &mut walk.chain, &mut |offset, frame| {
            if frame.seq <= durable {
                unmarked = offset + frame.bytes.len() as u64;
            }
            json += Frame::claimed_json(frame.bytes).unwrap_or(0);
            if mark.is_some_and(|mark| mark.seq == frame.seq && mark.head != frame.hash()) {
                return Err(format!("it is not the record that was durable once, which the file {MARK_FILE} names"));
            }
            visit(Place { segment: *seq, offset }, frame)
        })?;
        walk.unmarked = unmarked;
        walk.open_json = json;
        walk.segments.push(segment(path, header, extent, walk.chain.seq));
    }
    if files.is_empty() && durable > start.seq {
        let fault = Fault::Lost { durable };
        return Err(Damage { file: file_name(start.seq + 1), offset: 0, seq: start.seq + 1, fault }.into());
    }
    if let Some(Segment { path, length: offset, dropped: bytes @ 1.., .. }) = walk.segments.last() {
        walk.torn = Some(Torn { path: path.clone(), offset: *offset, bytes: *bytes });
    }
    Ok(walk)
}

/// A segment that another follows: nothing is added to it any more.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Its file.
    pub path: PathBuf,
    /// Its first record.
    pub first_seq: u64,
    /// Its last record.
    pub last_seq: u64,
    /// The hash of that.
    pub head: Digest,
    /// Where that ends.
    pub length: u64,
    /// The head of the segment that follows.
    pub next: SegmentHeader,
}

impl Sealed {
    /// How long its file is, which may have dead bytes at its end.
    pub fn file_bytes(&self) -> u64 {
        fs::metadata(&self.path).map_or(self.length, |meta| meta.len())
    }
}

/// The sealed segments of a directory, in order, as the heads of those behind them describe them.
pub fn sealed_segments(dir: &Path) -> Result<Vec<Sealed>, ReadError> {
    let files = segments(dir)?;
    files
        .iter()
        .zip(files.iter().skip(1))
        .map(|((first_seq, path), (next_seq, next_path))| {
            let next = read_header(*next_seq, next_path)?;
            Ok(Sealed {
                path: path.clone(),
                first_seq: *first_seq,
                last_seq: next.first_seq.saturating_sub(1),
                head: next.previous_hash,
                length: next.previous.length,
                next,
            })
        })
        .collect()
}

/// Checks a sealed segment's bytes by themselves: every record, their order and links, and that it ends as the head of the
/// next one says.
pub fn verify_sealed(sealed: &Sealed, bytes: &[u8]) -> Result<(), Damage> {
    let header = decode(sealed.first_seq, bytes)?;
    let mut chain = Chain { seq: sealed.first_seq - 1, head: header.previous_hash, time_ns: i64::MIN };
    scan(&file_name(sealed.first_seq), bytes, End::Sealed(&sealed.next), &mut chain, &mut |_, _| Ok(())).map(|_| ())
}

/// Cuts the torn end off, durably.
pub fn cut_torn_end(torn: &Torn) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(&torn.path)?;
    file.set_len(torn.offset)?;
    file.sync_all()
}

fn segment(path: &Path, header: SegmentHeader, extent: Extent, last_seq: u64) -> Segment {
    Segment { path: path.to_owned(), header, length: extent.length, dropped: extent.dropped, last_seq }
}

/// The head of a segment's file.
pub fn read_header(seq: u64, path: &Path) -> Result<SegmentHeader, ReadError> {
    let io = |error| ReadError::Io { path: path.to_owned(), error };
    let mut bytes = Vec::with_capacity(SEGMENT_HEADER);
    File::open(path).map_err(io)?.take(SEGMENT_HEADER as u64).read_to_end(&mut bytes).map_err(io)?;
    Ok(decode(seq, &bytes)?)
}

fn decode(seq: u64, bytes: &[u8]) -> Result<SegmentHeader, Damage> {
    SegmentHeader::decode(bytes).map_err(|error| Damage {
        file: file_name(seq),
        offset: 0,
        seq,
        fault: Fault::Header(error),
    })
}

fn same_writer(name: &str, writer: &mut Option<WriterId>, header: &SegmentHeader) -> Result<(), Damage> {
    let expected = *writer.get_or_insert(header.writer);
    if expected == header.writer {
        return Ok(());
    }
    let fault = Fault::Writer { expected, found: header.writer };
    Err(Damage { file: name.to_owned(), offset: 0, seq: header.first_seq, fault })
}
