//! SipHash-1-3 over whole words: the same function as siphasher's, without its buffering.

use siphasher::sip::SipHasher13;

/// The secret of a director.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed {
    keys: [u64; 2],
    start: State,
}

impl Seed {
    pub(crate) fn new(keys: [u64; 2]) -> Seed {
        Seed { keys, start: State::new(keys) }
    }

    /// The hash of `words` followed by the seven low bytes of `last`: a message of 8 n + 7 bytes.
    #[inline]
    pub(crate) fn hash<const N: usize>(self, words: [u64; N], last: u64) -> u64 {
        let mut state = self.start;
        for word in words {
            state.absorb(word);
        }
        let length = (8 * N as u64 + 7) << 56;
        state.absorb(length | last & (u64::MAX >> 8));
        state.finish()
    }

    /// The hash of any bytes.
    pub(crate) fn hash_bytes(self, bytes: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.keys[0], self.keys[1]).hash(bytes)
    }
}

#[derive(Debug, Clone, Copy)]
struct State([u64; 4]);

impl State {
    fn new([k0, k1]: [u64; 2]) -> State {
        State([
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ])
    }

    #[inline]
    fn absorb(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.0[0] ^= word;
    }

    #[inline]
    fn finish(mut self) -> u64 {
        self.0[2] ^= 0xff;
        self.round();
        self.round();
        self.round();
        self.0.iter().fold(0, |hash, word| hash ^ word)
    }

    #[inline]
    fn round(&mut self) {
        let [a, b, c, d] = &mut self.0;
        *a = a.wrapping_add(*b);
        *b = b.rotate_left(13) ^ *a;
        *a = a.rotate_left(32);
        *c = c.wrapping_add(*d);
        *d = d.rotate_left(16) ^ *c;
        *a = a.wrapping_add(*d);
        *d = d.rotate_left(21) ^ *a;
        *c = c.wrapping_add(*b);
        *b = b.rotate_left(17) ^ *c;
        *c = c.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_siphash(seed in any::<[u64; 2]>(), words in any::<[u64; 4]>(), last in any::<u64>()) {
            let mut message: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            message.extend(&last.to_le_bytes()[..7]);
            let wanted = SipHasher13::new_with_keys(seed[0], seed[1]).hash(&message);
            prop_assert_eq!(Seed::new(seed).hash(words, last), wanted);
        }
    }
}
