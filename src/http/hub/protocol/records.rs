//! From bytes to records: each message is followed by one byte, and several can come at once or one in pieces.

use bytes::{Buf as _, Bytes, BytesMut};

/// What stands behind every record: the "record separator" of ASCII, which JSON never has in itself.
pub(super) const END: u8 = 0x1e;

/// The longest record, in bytes, without its end.
const LONGEST: usize = 32 << 10;

/// Collects bytes until a record is whole.
#[derive(Debug, Default)]
pub(in super::super) struct Records {
    rest: BytesMut,
    /// How much of the rest is known to have no end in it.
    looked_at: usize,
}

/// A record is longer than [`LONGEST`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a message may have at most {LONGEST} bytes")]
pub(in super::super) struct TooLong;

impl Records {
    /// Takes what has come. Call [`Self::next`] until there is nothing more before the next bytes are taken.
    pub(in super::super) fn push(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
    }

    /// The next whole record.
    ///
    /// # Errors
    ///
    /// When it is too long, whole or not. There is no going on after that.
    pub(in super::super) fn next(&mut self) -> Result<Option<BytesMut>, TooLong> {
        let found = self.rest[self.looked_at..].iter().position(|byte| *byte == END);
        let Some(length) = found.map(|more| self.looked_at + more) else {
            self.looked_at = self.rest.len();
            return if self.rest.len() > LONGEST { Err(TooLong) } else { Ok(None) };
        };
        if length > LONGEST {
            return Err(TooLong);
        }
        let record = self.rest.split_to(length);
        self.rest.advance(1);
        self.looked_at = 0;
        Ok(Some(record))
    }
}

/// Takes a part off the beginning that is no longer than the longest record with its end, and consists of whole records
/// where it can: so the parts of what two say at the same time can follow each other in any order.
pub(in super::super) fn part(said: &mut Bytes) -> Bytes {
    const MOST: usize = LONGEST + 1;
    if said.len() <= MOST {
        return std::mem::take(said);
    }
    let end = said[..MOST].iter().rposition(|byte| *byte == END);
    // A copy, which does not keep all the rest in memory.
    Bytes::copy_from_slice(&said.split_to(end.map_or(MOST, |end| end + 1)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(records: &mut Records) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| records.next().unwrap()).map(|record| record.to_vec()).collect()
    }

    #[test]
    fn one_two_and_pieces() {
        let mut records = Records::default();
        records.push(b"{}\x1e");
        assert_eq!(all(&mut records), [b"{}"]);
        records.push(b"a\x1e\x1ebc\x1ed");
        assert_eq!(all(&mut records), [&b"a"[..], b"", b"bc"]);
        records.push(b"e");
        assert_eq!(all(&mut records), [b""; 0]);
        records.push(b"f\x1e");
        assert_eq!(all(&mut records), [b"def"]);
    }

    #[test]
    fn the_longest_is_taken_and_nothing_longer() {
        for (length, fits) in [(LONGEST - 1, true), (LONGEST, true), (LONGEST + 1, false)] {
            let mut whole = Records::default();
            whole.push(&vec![b'x'; length]);
            let before = whole.next();
            whole.push(&[END]);
            assert_eq!(before, if fits { Ok(None) } else { Err(TooLong) }, "{length} without an end");
            let mut at_once = Records::default();
            at_once.push(&[vec![b'x'; length], vec![END]].concat());
            let found = at_once.next().map(|record| record.map(|record| record.len()));
            assert_eq!(found, if fits { Ok(Some(length)) } else { Err(TooLong) }, "{length}");
        }
    }

    #[test]
    fn parts_are_whole_records_and_no_longer_than_one() {
        let record = |length: usize| [vec![b'x'; length], vec![END]].concat();
        let parts = |said: Vec<u8>| {
            let (mut rest, mut lengths) = (Bytes::from(said), Vec::new());
            while !rest.is_empty() {
                lengths.push(part(&mut rest).len());
            }
            lengths
        };
        assert_eq!(parts(record(LONGEST - 1)), [LONGEST]);
        assert_eq!(parts(record(LONGEST)), [LONGEST + 1]);
        assert_eq!(parts(record(LONGEST + 1)), [LONGEST + 1, 1], "which is too long wherever it is cut");
        assert_eq!(parts([record(LONGEST - 2), record(0), b"xy".to_vec()].concat()), [LONGEST, 2]);
        assert_eq!(parts([record(9), record(LONGEST), record(9), record(8)].concat()), [10, LONGEST + 1, 19]);
    }

    proptest! {
        #[test]
        fn however_it_is_cut(texts in proptest::collection::vec("[a-z]{0,8}", 0..8), cut in 1_usize..9) {
            let bytes: Vec<u8> = texts.iter().flat_map(|text| [text.as_bytes(), &[END]].concat()).collect();
            let (mut records, mut found) = (Records::default(), Vec::new());
            for piece in bytes.chunks(cut) {
                records.push(piece);
                found.extend(all(&mut records));
            }
            prop_assert_eq!(found, texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>());
        }
    }
}
