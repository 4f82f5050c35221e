//! Checks the lengths of delta-encoded texts in a page. Parquet's decoder allocates as many lengths as the page claims,
//! and panics if one leads out of the page.

/// Whether at most `most` texts are in `bytes`: first their lengths, then the texts.
pub(super) fn texts_lie_in(bytes: &[u8], most: usize) -> bool {
    texts(bytes, most).is_some()
}

/// The same for texts that share prefixes with the text before: the lengths of the prefixes come first. The bytes of
/// all prefixes, if the texts are in `bytes`.
pub(super) fn shared_texts_in(bytes: &[u8], most: usize) -> Option<usize> {
    let mut prefixes = 0_usize;
    let (shared, end) = integers(bytes, most, |length| {
        prefixes = prefixes.checked_add(usize::try_from(length).ok()?)?;
        Some(())
    })?;
    let texts = texts(bytes.get(end..)?, most)?;
    (shared == texts).then_some(prefixes)
}

fn texts(bytes: &[u8], most: usize) -> Option<usize> {
    let mut all = 0_usize;
    let (count, end) = integers(bytes, most, |length| {
        all = all.checked_add(usize::try_from(length).ok()?)?;
        Some(())
    })?;
    (all <= bytes.len() - end).then_some(count)
}

/// Decodes delta-encoded 32-bit integers and calls `each` with them; yields their number and the byte where they end.
fn integers(
    bytes: &[u8],
    most: usize,
    mut each: impl FnMut(i32) -> Option<()>,
) -> Option<(usize, usize)> {
    let mut rest = bytes;
    let block = usize::try_from(number(&mut rest)?).ok()?;
    let parts = usize::try_from(number(&mut rest)?).ok()?;
    let count = usize::try_from(number(&mut rest)?).ok()?;
    let mut value = signed(number(&mut rest)?);
    // The format requires these sizes; the bits of each part then fill whole bytes.
    let sizes = parts > 0 && block > 0 && block % 128 == 0 && block % parts == 0;
    (sizes && (block / parts) % 32 == 0 && count <= most).then_some(())?;
    if count > 0 {
        each(value)?;
    }
    let mut left = count.saturating_sub(1);
    while left > 0 {
        let least = signed(number(&mut rest)?);
        let (widths, after) = rest.split_at_checked(parts)?;
        rest = after;
        for width in widths.iter().map(|width| usize::from(*width)) {
            if left == 0 {
                break;
            }
            (width <= 32).then_some(())?;
            let here = left.min(block / parts);
            (rest.len() >= (here * width).div_ceil(8)).then_some(())?;
            for index in 0..here {
                let step = bits(rest, index * width, width);
                value = value.wrapping_add(least).wrapping_add(step);
                each(value)?;
            }
            left -= here;
            // The last part may be shorter: unused values need not be stored.
            let length = (block / parts).checked_mul(width)? / 8;
            rest = &rest[length.min(rest.len())..];
        }
    }
    Some((count, bytes.len() - rest.len()))
}

/// `width` bits from `start` on, the lowest first. The caller has checked that they exist.
fn bits(bytes: &[u8], start: usize, width: usize) -> i32 {
    let last = (start + width).div_ceil(8);
    let found = bytes[start / 8..last]
        .iter()
        .rev()
        .fold(0_u64, |found, byte| found << 8 | u64::from(*byte));
    let mask = (1_u64 << width) - 1;
    (found >> (start % 8) & mask) as u32 as i32
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn signed(zigzag: u64) -> i32 {
    ((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths 1, 3, 2: the first length, then the smallest step (-1), one part of four with steps of 3 and 0 in 2
    /// bits.
    fn lengths() -> Vec<u8> {
        let head = [0x80, 0x01, 4, 3, 2, 1, 2, 0, 0, 0];
        [&head[..], &[0b11], &[0; 7]].concat()
    }

    #[test]
    fn lengths_are_added_up() {
        let whole = [lengths(), b"abbbcc".to_vec()].concat();
        assert!(texts_lie_in(&whole, 3));
        assert!(!texts_lie_in(&whole, 2));
        assert!(!texts_lie_in(&whole[..whole.len() - 1], 3));
        assert_eq!(shared_texts_in(&[lengths(), whole].concat(), 3), Some(6));
        assert!(texts_lie_in(&[0x80, 0x01, 4, 0, 0], 3));
    }

    #[test]
    fn lies_are_found() {
        let many = [0xff, 0xff, 0xff, 0xff, 0x0f];
        for lie in [
            [&[0x80, 1, 4][..], &many, &[0]].concat(),
            [&[0x80, 1][..], &many, &[6, 0]].concat(),
            [&many[..], &[4, 6, 0]].concat(),
            vec![0, 4, 6, 0],
            vec![0x80, 1, 0, 6, 0],
            vec![0x80, 1, 4, 1, 1],
            vec![0xff; 40],
        ] {
            assert!(!texts_lie_in(&lie, 100), "{lie:?}");
        }
    }
}
