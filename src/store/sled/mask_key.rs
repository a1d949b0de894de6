//! The file of the masking secret as it lies in a state directory: 32 bytes, and behind them their CRC-32. Those of the first
//! version have none.

/// Its name.
pub const MASK_KEY_FILE: &str = "mask.key";

/// The secret, if the file is as it was written.
pub fn read_mask_key(bytes: &[u8]) -> Option<[u8; 32]> {
    let (key, rest) = bytes.split_first_chunk::<32>()?;
    let checksum = crc32fast::hash(key).to_le_bytes();
    (rest.is_empty() || rest == checksum).then_some(*key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_changed_byte_is_seen() {
        let key = [7; 32];
        let bytes = [&key[..], &crc32fast::hash(&key).to_le_bytes()].concat();
        assert_eq!((read_mask_key(&bytes), read_mask_key(&key)), (Some(key), Some(key)));
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= 64;
            assert_eq!(read_mask_key(&changed), None, "byte {position}");
        }
        assert_eq!(read_mask_key(&bytes[..35]), None);
    }
}
