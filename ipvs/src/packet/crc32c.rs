//! SCTP's checksum: CRC-32C (RFC 9260 appendix A).

/// The reflected polynomial of Castagnoli.
const POLYNOMIAL: u32 = 0x82f6_3b78;
const CHECKSUM: std::ops::Range<usize> = 8..12;

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 0 { value >> 1 } else { value >> 1 ^ POLYNOMIAL };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
}

/// The checksum of an SCTP packet, of which the checksum field counts as zero. On the wire its low byte comes first.
pub(crate) fn of_sctp(packet: &[u8]) -> u32 {
    let step = |crc: u32, byte: u8| {
        let index = (crc as u8 ^ byte) as usize;
        // The index is a byte and the table has an entry for each.
        crc >> 8 ^ TABLE[index]
    };
    let byte = |(at, byte): (usize, &u8)| if CHECKSUM.contains(&at) { 0 } else { *byte };
    !packet.iter().enumerate().map(byte).fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720 appendix B.4: 32 bytes of zeros.
    #[test]
    fn known_value() {
        assert_eq!(of_sctp(&[0; 32]), 0x8a91_36aa);
        assert_eq!(of_sctp(&[&[0; 8][..], &[7; 4], &[0; 20]].concat()), 0x8a91_36aa, "the field itself does not count");
    }
}
