//! For how long a server's certificate is still valid.
//!
//! Only one date of the certificate is wanted: seven steps over DER (X.690) to `notAfter` (RFC 5280 section 4.1), which is less
//! than any X.509 library would bring.

use super::Trouble;
use super::answer::fault;
use rustls::pki_types::CertificateDer;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SECONDS_A_DAY: i64 = 86_400;

/// Fails when the server's own certificate, the first one that it sent, ends within `least`.
pub(super) fn outlasts(chain: &[CertificateDer<'_>], least: Duration) -> Result<(), Trouble> {
    let phrase = "Certificate check failed with";
    let end = chain.first().and_then(|certificate| not_after(certificate));
    let Some(end) = end else { return Err(fault(phrase, "the certificate does not say when it ends")) };
    let left = end.saturating_sub(seconds_now());
    if left >= i64::try_from(least.as_secs()).unwrap_or(i64::MAX) {
        return Ok(());
    }
    let days = left.div_euclid(SECONDS_A_DAY);
    Err(fault(phrase, if left < 0 { "it has expired".to_owned() } else { format!("it expires in {days} days") }))
}

fn seconds_now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// Seconds since 1970 at which a DER certificate ends.
fn not_after(der: &[u8]) -> Option<i64> {
    let (_, certificate, _) = element(der).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, mut rest, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    // serialNumber, signature, issuer
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, _, end) = element(validity)?;
    let (tag, digits, _) = element(end)?;
    date(tag, digits)
}

/// Tag and content of the first element, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x0f))?;
            (bytes.iter().fold(0, |length: usize, byte| (length << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` (RFC 5280 section 4.1.2.5).
fn date(tag: u8, text: &[u8]) -> Option<i64> {
    let digits = text.strip_suffix(b"Z")?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let year = number(digits.get(..2)?)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, digits.get(2..)?)
        }
        GENERALIZED_TIME => (number(digits.get(..4)?)?, digits.get(4..)?),
        _ => return None,
    };
    let mut fields = rest.chunks(2).map(number);
    let mut next = |range: std::ops::RangeInclusive<i64>| fields.next()?.filter(|field| range.contains(field));
    let (month, day) = (next(1..=12)?, next(1..=31)?);
    let (hour, minute, second) = (next(0..=23)?, next(0..=59)?, next(0..=60)?);
    Some(days(year, month, day) * SECONDS_A_DAY + hour * 3600 + minute * 60 + second)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
}

/// Days since 1970-01-01 in the Gregorian calendar, with years that begin in March so that the leap day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rustls::pki_types::pem::PemObject;

    fn fixture() -> CertificateDer<'static> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/untrusted-certificate.pem");
        CertificateDer::from_pem_file(path).unwrap()
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(UTC_TIME, b"700101000000Z"), Some(0));
        assert_eq!(date(UTC_TIME, b"491231235959Z"), Some(2_524_607_999));
        assert_eq!(date(UTC_TIME, b"000301000000Z"), Some(951_868_800));
        assert_eq!(date(GENERALIZED_TIME, b"20500101000000Z"), Some(2_524_608_000));
        for wrong in [&b"700101000000"[..], b"701301000000Z", b"7001x1000000Z", b"70Z", b"Z", b""] {
            assert_eq!(date(UTC_TIME, wrong), None);
        }
    }

    #[test]
    fn a_certificate_outlasts_what_it_can() {
        let chain = [fixture()];
        let end = not_after(&chain[0]).unwrap();
        let left = Duration::from_secs(u64::try_from(end - seconds_now()).unwrap());
        assert!(outlasts(&chain, left - Duration::from_secs(60)).is_ok());
        assert!(outlasts(&chain, left + Duration::from_secs(60)).is_err());
        assert!(outlasts(&[], Duration::ZERO).is_err());
    }

    proptest! {
        /// Whatever a server sends as its certificate: an answer, no panic.
        #[test]
        fn damaged_certificates_are_read_in_peace(at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()) {
            let mut der = fixture().to_vec();
            let at = at.index(der.len());
            der[at] = byte;
            der.truncate(cut.index(der.len() + 1));
            let _ = not_after(&der);
        }
    }
}
