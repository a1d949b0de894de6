//! Sorted rows in blocks: what sled is given, so that it never holds a row by itself and never a value above 64 KiB.
//!
//! A tree's keys are a prefix, a block's first row's key, and two bytes of piece number. A block is a CRC-32 of the
//! rest, a kind, and either rows (compressed by LZ4, for they resemble each other; not so before version 2 of the
//! database) or one piece of a row that is too long for a block.

use std::borrow::Cow;
use std::ops::ControlFlow;

/// The longest value that sled is given: 17 of them, sled's largest leaf, stay below a quarter of its segment size.
const BLOCK: usize = 64 * 1024;

const HEADER: usize = 5;
const ROWS: u8 = 0;
const PIECE: u8 = 1;
const COMPRESSED: u8 = 2;

/// Given a row's key and value.
type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// One tree of blocks.
#[derive(Clone, Debug)]
pub struct Blocks {
    tree: sled::Tree,
}

/// The database cannot be read or written. What it holds can be made again from the journal.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// sled's own error.
    #[error("the database behind the journal: {0}")]
    Sled(#[from] sled::Error),
    /// Changed bytes.
    #[error("the database behind the journal is damaged: a block of {0} has a wrong checksum or form")]
    Damaged(String),
    /// The journal that it is made from cannot be read.
    #[error("the database behind the journal cannot be made: {0}")]
    Journal(String),
}

impl Blocks {
    /// The tree of this name.
    pub fn open(db: &sled::Db, name: &str) -> Result<Self, IndexError> {
        Ok(Self { tree: db.open_tree(name)? })
    }

    /// Writes rows that are sorted by their keys. Writing the same rows again changes nothing.
    pub fn write<'r>(&self, prefix: &[u8], rows: impl Iterator<Item = (&'r [u8], &'r [u8])>) -> Result<(), IndexError> {
        let mut block = Vec::new();
        let mut first: &[u8] = &[];
        for (key, value) in rows {
            let size = 6 + key.len() + value.len();
            if !block.is_empty() && block.len() + size > BLOCK {
                self.put_rows(prefix, first, &mut block)?;
            }
            if HEADER + size > BLOCK {
                self.put_pieces(prefix, key, value)?;
                continue;
            }
            if block.is_empty() {
                first = key;
                block.extend_from_slice(&[0, 0, 0, 0, ROWS]);
            }
            block.extend_from_slice(&length::<2>(key.len()));
            block.extend_from_slice(&length::<4>(value.len()));
            block.extend_from_slice(key);
            block.extend_from_slice(value);
        }
        if block.is_empty() { Ok(()) } else { self.put_rows(prefix, first, &mut block) }
    }

    /// Stores rows, compressed where that makes them shorter, and empties the block.
    fn put_rows(&self, prefix: &[u8], first: &[u8], block: &mut Vec<u8>) -> Result<(), IndexError> {
        let compressed = lz4_flex::block::compress_prepend_size(&block[HEADER..]);
        if compressed.len() < block.len() - HEADER {
            block.truncate(HEADER);
            block[HEADER - 1] = COMPRESSED;
            block.extend_from_slice(&compressed);
        }
        self.put(prefix, first, 0, block)
    }

    fn put_pieces(&self, prefix: &[u8], key: &[u8], value: &[u8]) -> Result<(), IndexError> {
        let room = BLOCK - HEADER - 6 - key.len();
        let count = value.len().div_ceil(room);
        for (number, piece) in value.chunks(room).enumerate() {
            let mut block = vec![0, 0, 0, 0, PIECE];
            block.extend_from_slice(&length::<2>(number));
            block.extend_from_slice(&length::<2>(count));
            block.extend_from_slice(&length::<2>(key.len()));
            block.extend_from_slice(key);
            block.extend_from_slice(piece);
            self.put(prefix, key, number, &mut block)?;
        }
        Ok(())
    }

    /// Stores the block, and empties it.
    fn put(&self, prefix: &[u8], first: &[u8], piece: usize, block: &mut Vec<u8>) -> Result<(), IndexError> {
        let checksum = crc32fast::hash(&block[4..]);
        block[..4].copy_from_slice(&checksum.to_le_bytes());
        self.tree.insert(tree_key(prefix, first, piece), block.as_slice())?;
        block.clear();
        Ok(())
    }

    /// The row of this key.
    pub fn get(&self, prefix: &[u8], key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let upto = tree_key(prefix, key, 0);
        let Some(found) = self.tree.range(prefix..=upto.as_slice()).next_back() else { return Ok(None) };
        let (_, bytes) = found?;
        match self.parse(&bytes)? {
            Block::Rows(rows) => {
                for row in Rows(&rows) {
                    let (row_key, value) = row.ok_or_else(|| self.damaged())?;
                    if row_key == key {
                        return Ok(Some(value.to_vec()));
                    }
                }
                Ok(None)
            }
            Block::Piece(piece) if piece.key == key => self.assemble(prefix, key, piece.count).map(Some),
            Block::Piece(_) => Ok(None),
        }
    }

    fn assemble(&self, prefix: &[u8], key: &[u8], count: usize) -> Result<Vec<u8>, IndexError> {
        let mut value = Vec::new();
        for number in 0..count {
            let bytes = self.tree.get(tree_key(prefix, key, number))?.ok_or_else(|| self.damaged())?;
            match self.parse(&bytes)? {
                Block::Piece(piece) if piece.key == key && piece.number == number => {
                    value.extend_from_slice(piece.bytes);
                }
                _ => return Err(self.damaged()),
            }
        }
        Ok(value)
    }

    /// Rows below `before` (or all), from the last one back, until `visit` breaks.
    pub fn back(&self, prefix: &[u8], before: Option<&[u8]>, visit: Visit<'_>) -> Result<ControlFlow<()>, IndexError> {
        let blocks = match before {
            Some(before) => self.tree.range(prefix..tree_key(prefix, before, 0).as_slice()),
            None => self.tree.scan_prefix(prefix),
        };
        for block in blocks.rev() {
            let (_, bytes) = block?;
            match self.parse(&bytes)? {
                Block::Rows(rows) => {
                    let rows: Option<Vec<Row<'_>>> = Rows(&rows).collect();
                    for (key, value) in rows.ok_or_else(|| self.damaged())?.into_iter().rev() {
                        if before.is_none_or(|before| key < before) && visit(key, value).is_break() {
                            return Ok(ControlFlow::Break(()));
                        }
                    }
                }
                // the pieces before the last one are passed over
                Block::Piece(piece) if piece.number + 1 == piece.count => {
                    let value = self.assemble(prefix, piece.key, piece.count)?;
                    if before.is_none_or(|before| piece.key < before) && visit(piece.key, &value).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Block::Piece(_) => {}
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Reads every block and checks it, while `go_on` says so. Returns how many rows there are, if it came to the end.
    pub fn verify(&self, go_on: &mut dyn FnMut() -> bool) -> Result<Option<usize>, IndexError> {
        let mut count = 0;
        for block in self.tree.iter().values() {
            if !go_on() {
                return Ok(None);
            }
            match self.parse(&block?)? {
                Block::Rows(rows) => {
                    for row in Rows(&rows) {
                        row.ok_or_else(|| self.damaged())?;
                        count += 1;
                    }
                }
                Block::Piece(piece) => count += usize::from(piece.number == 0),
            }
        }
        Ok(Some(count))
    }

    fn parse<'a>(&self, bytes: &'a [u8]) -> Result<Block<'a>, IndexError> {
        Block::parse(bytes).ok_or_else(|| self.damaged())
    }

    fn damaged(&self) -> IndexError {
        IndexError::Damaged(String::from_utf8_lossy(&self.tree.name()).into_owned())
    }
}

enum Block<'a> {
    Rows(Cow<'a, [u8]>),
    Piece(Piece<'a>),
}

struct Piece<'a> {
    number: usize,
    count: usize,
    key: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> Block<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (checksum, rest) = bytes.split_first_chunk::<4>()?;
        if crc32fast::hash(rest) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let (kind, rest) = rest.split_first()?;
        match *kind {
            ROWS => Some(Self::Rows(Cow::Borrowed(rest))),
            COMPRESSED => {
                let (size, _) = take_length::<4>(rest)?;
                let rows = (size <= BLOCK).then(|| lz4_flex::block::decompress_size_prepended(rest))?;
                Some(Self::Rows(Cow::Owned(rows.ok()?)))
            }
            PIECE => {
                let (number, rest) = take_length::<2>(rest)?;
                let (count, rest) = take_length::<2>(rest)?;
                let (key_length, rest) = take_length::<2>(rest)?;
                let (key, bytes) = rest.split_at_checked(key_length)?;
                Some(Self::Piece(Piece { number, count, key, bytes }))
            }
            _ => None,
        }
    }
}

/// The rows of a block; `None` once where their form is wrong.
struct Rows<'a>(&'a [u8]);

type Row<'a> = (&'a [u8], &'a [u8]);

impl<'a> Iterator for Rows<'a> {
    type Item = Option<Row<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.0);
        let row = (|| {
            let (key_length, rest) = take_length::<2>(rest)?;
            let (value_length, rest) = take_length::<4>(rest)?;
            let (key, rest) = rest.split_at_checked(key_length)?;
            let (value, rest) = rest.split_at_checked(value_length)?;
            self.0 = rest;
            Some((key, value))
        })();
        Some(row)
    }
}

fn tree_key(prefix: &[u8], key: &[u8], piece: usize) -> Vec<u8> {
    let piece = u16::try_from(piece).unwrap_or(u16::MAX).to_be_bytes();
    [prefix, key, &piece].concat()
}

/// A length in so many little-endian bytes. Blocks are far below what two bytes of keys and four of values can say.
fn length<const N: usize>(length: usize) -> [u8; N] {
    let bytes = length.to_le_bytes();
    let mut out = [0; N];
    out.copy_from_slice(&bytes[..N]);
    out
}

fn take_length<const N: usize>(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<N>()?;
    let mut whole = [0; 8];
    whole[..N].copy_from_slice(length);
    Some((usize::try_from(u64::from_le_bytes(whole)).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn database() -> sled::Db {
        sled::Config::new().temporary(true).open().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
        #[test]
        fn reads_as_a_sorted_map_does(
            model in prop::collection::btree_map("[a-c]{1,4}", prop_oneof![9 => 0usize..4000, 1 => 60_000usize..200_000], 0..80),
            asked in "[a-c]{1,4}",
        ) {
            let model: BTreeMap<Vec<u8>, Vec<u8>> = model.into_iter()
                .map(|(key, length)| (key.into_bytes(), vec![u8::try_from(length % 251).unwrap(); length])).collect();
            let db = database();
            let blocks = Blocks::open(&db, "t").unwrap();
            blocks.write(b"p", model.iter().map(|(key, value)| (key.as_slice(), value.as_slice()))).unwrap();
            blocks.write(b"q", [(&b"zz"[..], &b"another prefix"[..])].into_iter()).unwrap();
            prop_assert_eq!(blocks.verify(&mut || true).unwrap(), Some(model.len() + 1));
            let largest = db.open_tree("t").unwrap().iter().values().map(|v| v.unwrap().len()).max();
            prop_assert!(largest <= Some(BLOCK));
            let asked = asked.as_bytes();
            prop_assert_eq!(blocks.get(b"p", asked).unwrap(), model.get(asked).cloned());
            for key in model.keys() {
                prop_assert_eq!(blocks.get(b"p", key).unwrap(), model.get(key).cloned());
            }
            for before in [None, Some(asked)] {
                let mut seen = Vec::new();
                let _ = blocks.back(b"p", before, &mut |key, value| {
                    seen.push((key.to_vec(), value.to_vec()));
                    ControlFlow::Continue(())
                }).unwrap();
                let wanted: Vec<_> = model.iter().rev().filter(|(key, _)| before.is_none_or(|b| key.as_slice() < b))
                    .map(|(key, value)| (key.clone(), value.clone())).collect();
                prop_assert!(seen == wanted, "before {before:?}");
            }
        }
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let db = database();
        let blocks = Blocks::open(&db, "t").unwrap();
        blocks.write(b"", [(&b"key"[..], &b"value"[..])].into_iter()).unwrap();
        let tree = db.open_tree("t").unwrap();
        let (key, value) = tree.first().unwrap().unwrap();
        for position in 0..value.len() {
            let mut changed = value.to_vec();
            changed[position] ^= 4;
            tree.insert(&key, changed).unwrap();
            assert!(matches!(blocks.get(b"", b"key"), Err(IndexError::Damaged(_))), "byte {position}");
            assert!(blocks.verify(&mut || true).is_err());
        }
    }
}
