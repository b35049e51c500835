//! MessagePack before it is read: one whole value, and not nested without end.
//!
//! rmp-serde counts the levels of lists and maps, but not those of enums: a chain of variants that contain each other
//! would overflow the stack, and take the process with it. Nor does it say whether something follows the value.

/// Most levels of lists, maps and variants within each other; serde_json has the same limit.
pub(super) const NESTING_MAX: usize = 128;

/// Checks that the bytes are one value. Its types are not looked at, only where each part ends.
///
/// # Errors
/// What is wrong, for people.
pub(super) fn check(body: &[u8]) -> Result<(), String> {
    let mut rest = Rest(body);
    // for each level how many values are still to come
    let mut open = [0_u64; NESTING_MAX];
    let mut depth = 0;
    loop {
        let children = rest.value().ok_or("the bytes end in the midst of a value")?;
        if children > 0 {
            let level =
                open.get_mut(depth).ok_or_else(|| format!("more than {NESTING_MAX} levels of nesting"))?;
            *level = children;
            depth += 1;
            continue;
        }
        while depth > 0 {
            open[depth - 1] -= 1;
            if open[depth - 1] > 0 {
                break;
            }
            depth -= 1;
        }
        if depth == 0 {
            break;
        }
    }
    match rest.0.len() {
        0 => Ok(()),
        more => Err(format!("{more} trailing bytes behind the value")),
    }
}

struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    /// Goes behind the next value, or behind the head of one that contains others. Says how many those are; none if
    /// the bytes end before that.
    fn value(&mut self) -> Option<u64> {
        let marker = self.number(1)?;
        match marker {
            // fixint, nil, bool, and the one that is not used
            0x00..=0x7f | 0xc0..=0xc3 | 0xe0..=0xff => Some(0),
            0x80..=0x8f => Some(2 * (marker & 0x0f)),
            0x90..=0x9f => Some(marker & 0x0f),
            0xa0..=0xbf => self.skip(marker & 0x1f),
            // bin and str: their length goes first
            0xc4..=0xc6 => self.counted(1 << (marker - 0xc4), 0),
            0xd9..=0xdb => self.counted(1 << (marker - 0xd9), 0),
            // ext: a type behind the length
            0xc7..=0xc9 => self.counted(1 << (marker - 0xc7), 1),
            0xd4..=0xd8 => self.skip((1 << (marker - 0xd4)) + 1),
            // float, uint, int
            0xca..=0xcb => self.skip(4 << (marker - 0xca)),
            0xcc..=0xcf => self.skip(1 << (marker - 0xcc)),
            0xd0..=0xd3 => self.skip(1 << (marker - 0xd0)),
            // array and map
            0xdc..=0xdd => self.number(2 << (marker - 0xdc)),
            _ => self.number(2 << (marker - 0xde)).map(|pairs| 2 * pairs),
        }
    }

    /// A big-endian number of so many bytes.
    fn number(&mut self, bytes: u64) -> Option<u64> {
        let (head, rest) = self.0.split_at_checked(usize::try_from(bytes).ok()?)?;
        self.0 = rest;
        Some(head.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn counted(&mut self, length_bytes: u64, more: u64) -> Option<u64> {
        let length = self.number(length_bytes)?;
        self.skip(length + more)
    }

    fn skip(&mut self, bytes: u64) -> Option<u64> {
        self.0 = self.0.get(usize::try_from(bytes).ok()?..)?;
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_value_ends_where_it_should() {
        let long = [&[0xda, 1, 0][..], &[b'x'; 256]].concat();
        for value in [
            &[0x07][..],
            &[0xe0],
            &[0xc0],
            &[0xc3],
            &[0xa2, b'h', b'i'],
            &[0xd9, 1, b'h'],
            &long,
            &[0xdb, 0, 0, 0, 1, b'h'],
            &[0xc4, 2, 1, 2],
            &[0xc5, 0, 1, 1],
            &[0xc6, 0, 0, 0, 1, 1],
            &[0xca, 0, 0, 0, 0],
            &[0xcb, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0xcc, 1],
            &[0xcd, 0, 1],
            &[0xce, 0, 0, 0, 1],
            &[0xcf, 0, 0, 0, 0, 0, 0, 0, 1],
            &[0xd0, 1],
            &[0xd1, 0, 1],
            &[0xd2, 0, 0, 0, 1],
            &[0xd3, 0, 0, 0, 0, 0, 0, 0, 1],
            &[0xd4, 9, 1],
            &[0xd5, 9, 1, 2],
            &[0xd6, 9, 1, 2, 3, 4],
            &[0xd7, 9, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0xd8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0xc7, 1, 9, 1],
            &[0xc8, 0, 1, 9, 1],
            &[0xc9, 0, 0, 0, 1, 9, 1],
            &[0x90],
            &[0x92, 0x90, 0x91, 0x01],
            &[0xdc, 0, 2, 1, 2],
            &[0xdd, 0, 0, 0, 1, 1],
            &[0x80],
            &[0x81, 0xa1, b'a', 0x93, 1, 2, 3],
            &[0xde, 0, 1, 1, 2],
            &[0xdf, 0, 0, 0, 1, 1, 2],
        ] {
            assert_eq!(check(value), Ok(()), "{value:02x?}");
            assert_eq!(check(&[value, &[0]].concat()), Err("1 trailing bytes behind the value".into()));
            let cut = check(&value[..value.len() - 1]).expect_err("cut short");
            assert!(cut.contains("the midst"), "{value:02x?}: {cut}");
        }
    }

    #[test]
    fn nesting_has_its_limit() {
        let nested = |levels: usize| [vec![0x91; levels], vec![0xc0]].concat();
        assert_eq!(check(&nested(NESTING_MAX)), Ok(()));
        assert!(check(&nested(NESTING_MAX + 1)).expect_err("deeper").contains("128 levels"));
        // beside each other they are not within each other
        let beside = [&[0xdc, 1, 0][..], &[0x91, 0xc0].repeat(256)].concat();
        assert_eq!(check(&beside), Ok(()));
    }
}
