//! Gzip without compression, computed arithmetically.
//!
//! A jar is already compressed: to compress it again costs a minute per gigabyte and saves a few percent. Some
//! registries only accept gzip-compressed layers, and gzip can store data uncompressed, in blocks of 65535 bytes with 5
//! bytes before each (RFC 1951, 3.2.4; RFC 1952). So any part of the gzip file can be computed from its part of the
//! tar: an interrupted upload continues at the same position, without a copy on disk, and no new release of a
//! compressor changes a digest.

/// Maximum data of a block.
const BLOCK: u64 = 65535;
/// Bytes before the data of a block.
const BLOCK_HEADER: u64 = 5;
/// No name, no time, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// Checksum and length.
const TRAILER: u64 = 8;

/// How to create a run of the gzip file's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    Bytes(Vec<u8>),
    Data { offset: u64, length: u64 },
}

/// Data of a known length, as gzip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    length: u64,
}

impl Stored {
    /// For data of `length` bytes.
    pub(crate) const fn new(length: u64) -> Self {
        Self { length }
    }

    fn blocks(self) -> u64 {
        self.length.div_ceil(BLOCK).max(1)
    }

    pub(crate) fn size(self) -> u64 {
        HEADER.len() as u64 + self.length + self.blocks() * BLOCK_HEADER + TRAILER
    }

    /// The run at `offset` of the gzip file; `None` at its end. `checksum` is the CRC-32 of all data.
    pub(crate) fn run(self, offset: u64, checksum: u32) -> Option<Run> {
        let header = HEADER.len() as u64;
        if offset < header {
            return Some(Run::Bytes(from(&HEADER, offset)));
        }
        let in_blocks = offset - header;
        let blocks_end = self.length + self.blocks() * BLOCK_HEADER;
        if in_blocks < blocks_end {
            let (block, within) = (in_blocks / (BLOCK + BLOCK_HEADER), in_blocks % (BLOCK + BLOCK_HEADER));
            let length = BLOCK.min(self.length - block * BLOCK);
            if within < BLOCK_HEADER {
                let last = u8::from(block + 1 == self.blocks());
                let [low, high] = u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes();
                return Some(Run::Bytes(from(&[last, low, high, !low, !high], within)));
            }
            let done = within - BLOCK_HEADER;
            return Some(Run::Data {
                offset: block * BLOCK + done,
                length: length - done,
            });
        }
        if offset >= self.size() {
            return None;
        }
        // gzip stores the length modulo 2^32.
        let length = u32::try_from(self.length & u64::from(u32::MAX)).unwrap_or_default();
        let trailer = [checksum.to_le_bytes(), length.to_le_bytes()].concat();
        Some(Run::Bytes(from(&trailer, in_blocks - blocks_end)))
    }
}

fn from(bytes: &[u8], offset: u64) -> Vec<u8> {
    bytes
        .iter()
        .skip(usize::try_from(offset).unwrap_or(usize::MAX))
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Crc;
    use proptest::prelude::*;
    use std::io::Read;

    fn packed(data: &[u8], from: u64) -> Vec<u8> {
        let mut crc = Crc::new();
        crc.update(data);
        let stored = Stored::new(data.len() as u64);
        let (mut all, mut offset) = (Vec::new(), from);
        while let Some(run) = stored.run(offset, crc.sum()) {
            let bytes = match run {
                Run::Bytes(bytes) => bytes,
                Run::Data { offset, length } => {
                    data[usize::try_from(offset).unwrap()..][..usize::try_from(length).unwrap()].to_vec()
                }
            };
            assert!(!bytes.is_empty());
            offset += bytes.len() as u64;
            all.extend(bytes);
        }
        assert_eq!(offset, stored.size());
        all
    }

    #[test]
    fn gzip_reads_it_back() {
        for length in [0, 1, 65534, 65535, 65536, 131_070, 200_000] {
            let data: Vec<u8> = (0..length)
                .map(|n: u32| n.to_le_bytes()[0] ^ n.to_le_bytes()[1])
                .collect();
            let whole = packed(&data, 0);
            let mut back = Vec::new();
            flate2::read::GzDecoder::new(whole.as_slice())
                .read_to_end(&mut back)
                .unwrap();
            assert!(back == data, "{length}");
        }
    }

    proptest! {
        #[test]
        fn any_part_of_it_is_the_same_as_of_the_whole(length in 0_usize..140_000, part in 0.0_f64..1.0) {
            let data = vec![7; length];
            let whole = packed(&data, 0);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
            let start = (whole.len() as f64 * part) as usize;
            prop_assert!(packed(&data, start as u64) == whole[start..]);
        }
    }
}
