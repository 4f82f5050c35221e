//! Measures the repetition levels of a page: a row is decoded as a whole, and a few bytes can say that it has any number
//! of entries.

/// The most entries of one row among `count` entries: of those from one level 0 to the next. `levels` are in Parquet's
/// hybrid of runs and packed bits, each `width` bits wide. `None` if they are fewer.
pub(super) fn longest_row(mut levels: &[u8], width: usize, count: usize) -> Option<usize> {
    let (mut longest, mut here, mut left) = (0, 0_usize, count);
    let mut take = |level: usize, entries: usize| {
        if level == 0 {
            longest = longest.max(here).max(1);
            here = 1;
        } else {
            here = here.saturating_add(entries);
        }
    };
    while left > 0 {
        let header = number(&mut levels)?;
        let groups = usize::try_from(header >> 1).ok()?;
        if header & 1 == 0 {
            let (value, rest) = levels.split_at_checked(width.div_ceil(8))?;
            levels = rest;
            let bytes = value.iter().rev();
            let level = bytes.fold(0_usize, |level, byte| level << 8 | usize::from(*byte));
            let entries = groups.min(left);
            (entries > 0).then_some(())?;
            take(level, entries);
            left -= entries;
        } else {
            let (packed, rest) = levels.split_at(groups.checked_mul(width)?.min(levels.len()));
            levels = rest;
            // The last group may be cut.
            let entries = groups
                .checked_mul(8)?
                .min(packed.len() * 8 / width.max(1))
                .min(left);
            (entries > 0).then_some(())?;
            for entry in 0..entries {
                let bit = |bit: usize| usize::from(packed[bit / 8] >> (bit % 8) & 1);
                let first = entry * width;
                take((first..first + width).map(bit).max().unwrap_or(0), 1);
            }
            left -= entries;
        }
    }
    Some(longest.max(here))
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..35).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_in_runs_and_packed_bits() {
        for (levels, width, count, longest) in [
            // A run of 5 rows of one entry; a run of 9 further entries of the last row.
            (&[10, 0][..], 1, 5, Some(1)),
            (&[10, 0, 18, 1], 1, 14, Some(10)),
            // A page that begins inside of a row.
            (&[6, 1, 4, 0], 1, 5, Some(3)),
            // Packed, the lowest bit first: 0 1 1 0 1 0 0 1, and of the next group 3 entries.
            (&[3, 0b1001_0110], 1, 8, Some(3)),
            (&[5, 0b1001_0110, 0b0000_0111], 1, 11, Some(5)),
            // Two bits each: 0 1 2 0.
            (&[3, 0b0010_0100, 0], 2, 4, Some(3)),
            // Claims beyond the page's entries.
            (
                &[0xfe, 0xff, 0xff, 0xff, 0x0f, 1],
                1,
                1 << 20,
                Some(1 << 20),
            ),
            (&[10, 0], 1, 6, None),
            (&[0, 0], 1, 1, None),
            (&[1, 0], 1, 1, None),
            (&[3], 1, 1, None),
            (&[0xff; 12], 1, 1, None),
            (&[], 1, 1, None),
            (&[], 1, 0, Some(0)),
        ] {
            assert_eq!(longest_row(levels, width, count), longest, "{levels:?}");
        }
    }
}
