//! Variable-length integers after RFC 9000, section 16, and the cursor that reads them and everything else in a frame.
//!
//! The two highest bits of the first byte say how many bytes there are: 1, 2, 4 or 8, in network byte order.

/// The greatest number that fits: 2^62 - 1.
pub const MAX: u64 = (1 << 62) - 1;

/// The number is beyond [`MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} does not fit a variable-length integer: {MAX} at the most")]
pub struct TooGreat(pub u64);

/// There are fewer bytes than what was to be read takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} bytes were to come, {left} did")]
pub struct EndsEarly {
    /// How many bytes it takes.
    pub wanted: usize,
    /// How many were left.
    pub left: usize,
}

/// Appends a number in the fewest bytes that hold it.
///
/// # Errors
/// [`TooGreat`]; nothing has been appended then.
#[inline]
pub fn put(out: &mut Vec<u8>, value: u64) -> Result<(), TooGreat> {
    match value {
        0..=0x3f => out.push(value as u8),
        0x40..=0x3fff => out.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
        0x4000..=0x3fff_ffff => out.extend_from_slice(&(value as u32 | 0x8000_0000).to_be_bytes()),
        0x4000_0000..=MAX => out.extend_from_slice(&(value | 0xc000_0000_0000_0000).to_be_bytes()),
        _ => return Err(TooGreat(value)),
    }
    Ok(())
}

/// Writes a number over one that is at the beginning of the bytes, in as many bytes as that takes.
///
/// # Errors
/// [`EndsEarly`] when there is no number, or it takes too few bytes. Nothing has been written then.
pub fn replace(at: &mut [u8], value: u64) -> Result<(), EndsEarly> {
    let prefix = at.first().ok_or(EndsEarly { wanted: 1, left: 0 })? & 0xc0;
    let width = 1 << (prefix >> 6);
    let left = at.len();
    let place = at.get_mut(..width).ok_or(EndsEarly { wanted: width, left })?;
    let bytes = value.to_be_bytes();
    let (above, written) = bytes.split_at(bytes.len() - width);
    if above.iter().any(|byte| *byte != 0) || written[0] & 0xc0 != 0 {
        let mut needed = Vec::with_capacity(bytes.len());
        let wanted = put(&mut needed, value).map_or(bytes.len(), |()| needed.len());
        return Err(EndsEarly { wanted, left: width });
    }
    place.copy_from_slice(written);
    place[0] |= prefix;
    Ok(())
}

/// A place in a slice of bytes: what has been read lies behind it. It never allocates; after an error it stands where
/// it stood.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// At the first byte.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    #[inline]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    const fn ends_early(&self, wanted: usize) -> EndsEarly {
        EndsEarly { wanted, left: self.rest.len() }
    }

    /// The next byte.
    ///
    /// # Errors
    /// [`EndsEarly`].
    #[inline]
    pub fn byte(&mut self) -> Result<u8, EndsEarly> {
        let (byte, rest) = self.rest.split_first().ok_or(self.ends_early(1))?;
        self.rest = rest;
        Ok(*byte)
    }

    /// The next bytes, as many as the array has.
    ///
    /// # Errors
    /// [`EndsEarly`].
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], EndsEarly> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(self.ends_early(N))?;
        self.rest = rest;
        Ok(*array)
    }

    /// The next bytes.
    ///
    /// # Errors
    /// [`EndsEarly`].
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], EndsEarly> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(self.ends_early(len))?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next variable-length integer, [`MAX`] at the most. As in RFC 9000 it may take more bytes than it needs.
    ///
    /// # Errors
    /// [`EndsEarly`].
    #[inline]
    pub fn varint(&mut self) -> Result<u64, EndsEarly> {
        let first = *self.rest.first().ok_or(self.ends_early(1))?;
        Ok(match first >> 6 {
            0 => u64::from(self.byte()?),
            1 => u64::from(u16::from_be_bytes(self.array()?) & 0x3fff),
            2 => u64::from(u32::from_be_bytes(self.array()?) & 0x3fff_ffff),
            _ => u64::from_be_bytes(self.array()?) & MAX,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, value).expect("it fits");
        out
    }

    #[test]
    fn the_examples_of_the_standard_are_read_as_it_says() {
        // RFC 9000, appendix A.1
        for (bytes, value) in [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ] {
            let mut reader = Reader::new(bytes);
            assert_eq!(reader.varint(), Ok(value));
            assert!(reader.rest().is_empty());
        }
    }

    #[test]
    fn each_width_holds_what_the_standard_says() {
        for (value, width) in [
            (0, 1),
            (63, 1),
            (64, 2),
            (16_383, 2),
            (16_384, 4),
            (1_073_741_823, 4),
            (1_073_741_824, 8),
            (MAX, 8),
        ] {
            assert_eq!(written(value).len(), width, "{value}");
        }
        let mut out = vec![7];
        assert_eq!(put(&mut out, MAX + 1), Err(TooGreat(MAX + 1)));
        assert_eq!(out, [7], "what is refused leaves nothing behind");
    }

    #[test]
    fn a_reader_that_finds_too_little_stays_where_it_was() {
        let mut reader = Reader::new(&[0xc0, 1, 2]);
        assert_eq!(reader.varint(), Err(EndsEarly { wanted: 8, left: 3 }));
        assert_eq!(reader.array::<4>(), Err(EndsEarly { wanted: 4, left: 3 }));
        assert_eq!(reader.take(usize::MAX), Err(EndsEarly { wanted: usize::MAX, left: 3 }));
        assert_eq!(reader.take(3), Ok(&[0xc0, 1, 2][..]));
        assert_eq!(reader.byte(), Err(EndsEarly { wanted: 1, left: 0 }));
        assert_eq!(reader.varint(), Err(EndsEarly { wanted: 1, left: 0 }));
    }

    proptest! {
        #[test]
        fn a_number_can_take_the_place_of_a_greater_one(shift in 0_u32..62, any in any::<u64>(), less in any::<u64>()) {
            let value = (any & MAX) >> shift;
            let mut bytes = written(value);
            let width = bytes.len();
            bytes.push(0x55);
            replace(&mut bytes, less % (value + 1)).expect("no more bytes are needed");
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint(), Ok(less % (value + 1)));
            prop_assert_eq!((reader.rest(), bytes.len()), (&[0x55][..], width + 1));
            let before = bytes.clone();
            if value < 1 << 30 {
                prop_assert!(replace(&mut bytes, 1 << 40).is_err());
                prop_assert_eq!(bytes, before);
            }
        }

        #[test]
        fn what_was_written_is_read_and_nothing_less_is_enough(shift in 0_u32..62, any in any::<u64>()) {
            let value = (any & MAX) >> shift;
            let bytes = written(value);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint(), Ok(value));
            prop_assert!(reader.rest().is_empty());
            prop_assert!(Reader::new(&bytes[..bytes.len() - 1]).varint().is_err());
        }
    }
}
