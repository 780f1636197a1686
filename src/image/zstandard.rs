//! Zstandard-compressed layers. `ruzstd` unpacks one frame. A layer may have several, and skippable frames between
//! them: Podman's `zstd:chunked` keeps its table of contents there.

use std::io::{self, Chain, Cursor, ErrorKind, Read};

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// The magic number of a skippable frame, without its last four bits. Source: RFC 8878, 3.1.2.
const SKIPPED: u32 = 0x184d_2a50;

type Frame<R> = StreamingDecoder<Chain<Cursor<[u8; 4]>, R>, FrameDecoder>;

/// Unpacks all frames in order.
pub(crate) struct Frames<R: Read> {
    state: State<R>,
}

enum State<R: Read> {
    Between(R),
    Within(Box<Frame<R>>),
    End,
}

impl<R: Read> Frames<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self {
            state: State::Between(reader),
        }
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(&mut self.state, State::End) {
                State::End => return Ok(0),
                State::Between(reader) => self.state = begin(reader)?,
                State::Within(mut frame) => {
                    let read = frame.read(buffer)?;
                    if read > 0 || buffer.is_empty() {
                        self.state = State::Within(frame);
                        return Ok(read);
                    }
                    self.state = State::Between(frame.into_inner().into_inner().1);
                }
            }
        }
    }
}

fn begin<R: Read>(mut reader: R) -> io::Result<State<R>> {
    let mut magic = [0; 4];
    match reader.read(&mut magic[..1])? {
        0 => return Ok(State::End),
        _ => reader.read_exact(&mut magic[1..])?,
    }
    if u32::from_le_bytes(magic) & !0xf == SKIPPED {
        let mut length = [0; 4];
        reader.read_exact(&mut length)?;
        let length = u64::from(u32::from_le_bytes(length));
        let skipped = io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
        return if skipped == length {
            Ok(State::Between(reader))
        } else {
            Err(ErrorKind::UnexpectedEof.into())
        };
    }
    let frame = StreamingDecoder::new(Cursor::new(magic).chain(reader)).map_err(|e| io::Error::other(e.to_string()))?;
    Ok(State::Within(Box::new(frame)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf hello | zstd`, without the checksum.
    const HELLO: [u8; 14] = [
        0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x05, 0x29, 0x00, 0x00, b'h', b'e', b'l', b'l', b'o',
    ];

    fn unpacked(bytes: &[u8]) -> io::Result<String> {
        let mut text = String::new();
        Frames::new(bytes).read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn all_frames_are_read_and_those_of_others_skipped() {
        let skipped = [0x5e, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        let layer = [&HELLO[..], &skipped, &HELLO].concat();
        assert_eq!(unpacked(&layer).unwrap(), "hellohello");
        assert_eq!(unpacked(b"").unwrap(), "");
        assert_eq!(unpacked(&skipped).unwrap(), "");
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_an_error() {
        assert!(unpacked(&HELLO[..10]).is_err());
        assert!(unpacked(&[0x5e, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1]).is_err());
        assert!(unpacked(b"PK").is_err());
        assert!(unpacked(b"this is text").is_err());
    }
}
