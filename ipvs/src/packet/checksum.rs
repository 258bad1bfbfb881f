//! Ones' complement sums: RFC 1071, and their incremental update, RFC 1624.

/// Folds a sum of 16-bit words into 16 bits: both halves meet in the upper one, with the carry of the lower.
#[inline]
pub(crate) const fn fold(sum: u32) -> u16 {
    (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16
}

/// The same for a sum of 32-bit words.
#[inline]
pub(crate) const fn fold_long(sum: u64) -> u16 {
    fold((sum.wrapping_add(sum.rotate_left(32)) >> 32) as u32)
}

/// The difference that replacing words of sum `old` by words of sum `new` makes.
#[inline]
pub(crate) const fn delta(old: u32, new: u32) -> u16 {
    fold(fold(new) as u32 + !fold(old) as u32)
}

/// What a translation does to checksums: to one over addresses only, and to one over the ports too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) addresses: u16,
    pub(crate) ports: u16,
}

impl Change {
    pub(crate) const NONE: Change = Change { addresses: 0, ports: 0 };

    /// The change of the translation back.
    #[inline]
    pub(crate) const fn reversed(self) -> Change {
        Change { addresses: !self.addresses, ports: !self.ports }
    }
}

/// RFC 1624, equation 3: the checksum field after its data changed by `delta`, a sum of differences.
#[inline]
pub(crate) const fn update(field: u16, delta: u32) -> u16 {
    !fold(!field as u32 + delta)
}

/// A partial checksum (the sum of the pseudo header, not complemented) after the pseudo header changed by `delta`.
#[inline]
pub(crate) const fn update_partial(field: u16, delta: u16) -> u16 {
    fold(field as u32 + delta as u32)
}

/// The folded sum of `bytes` (an odd last byte is padded with zero) and `initial`.
pub(crate) fn sum(bytes: &[u8], initial: u32) -> u16 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut total = u64::from(initial);
    for word in words {
        total += u64::from(u32::from_be_bytes(*word));
    }
    let mut tail = [0; 4];
    for (to, from) in tail.iter_mut().zip(rest) {
        *to = *from;
    }
    total += u64::from(u32::from_be_bytes(tail));
    fold_long(total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slow_sum(bytes: &[u8]) -> u16 {
        let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
        words.fold(0, |sum, word| u32::from(fold(sum + word))) as u16
    }

    #[test]
    fn rfc_1071_example() {
        assert_eq!(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7], 0), 0xddf2);
    }

    #[test]
    fn rfc_1624_example() {
        // Section 4: the field 0xDD2F after a word changed from 0x5555 to 0x3285.
        assert_eq!(update(0xdd2f, u32::from(delta(0x5555, 0x3285))), 0x0000);
    }

    proptest! {
        #[test]
        fn folding_adds_the_carries(sum in any::<u32>(), long in any::<u64>()) {
            let bytes = |words: &[u8]| slow_sum(words);
            prop_assert_eq!(fold(sum), bytes(&sum.to_be_bytes()));
            prop_assert_eq!(fold_long(long), bytes(&long.to_be_bytes()));
        }

        #[test]
        fn sum_equals_the_definition(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(sum(&bytes, 0), slow_sum(&bytes));
        }

        #[test]
        fn update_equals_computing_anew(
            mut bytes in proptest::collection::vec(any::<u8>(), 4..64),
            new in any::<u16>(),
        ) {
            let old = u16::from_be_bytes([bytes[0], bytes[1]]);
            let before = !sum(&bytes, 0);
            bytes[..2].copy_from_slice(&new.to_be_bytes());
            let after = !sum(&bytes, 0);
            let updated = update(before, u32::from(delta(u32::from(old), u32::from(new))));
            // 0 and 0xffff are the same number in ones' complement.
            prop_assert_eq!(updated % 0xffff, after % 0xffff);
        }
    }
}
