//! Numbers, switches and addresses as keepalived reads them (behaviour notes 10 and 11).

use std::net::IpAddr;
use std::time::Duration;

/// A number and what stands after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number<'t> {
    pub(crate) value: i128,
    /// Text after the digits; empty for a proper number.
    pub(crate) rest: &'t str,
    /// Decimals beyond those that count.
    pub(crate) rounded: bool,
}

/// A whole number of base ten with an optional sign. `None` without a digit.
pub(crate) fn whole(text: &str) -> Option<Number<'_>> {
    if let Some(value) = few_digits(text) {
        return Some(Number { value: value.into(), rest: "", rounded: false });
    }
    let (negative, digits) = sign(text);
    let len = digit_count(digits);
    let value = magnitude(digits.get(..len)?)?;
    Some(Number { value: if negative { -value } else { value }, rest: digits.get(len..)?, rounded: false })
}

/// A decimal number in units of 10^-places.
pub(crate) fn decimal(text: &str, places: usize) -> Option<Number<'_>> {
    if let Some(value) = few_digits(text).filter(|_| places <= 6) {
        let unit = 10_u64.pow(u32::try_from(places).ok()?);
        return Some(Number { value: (value * unit).into(), rest: "", rounded: false });
    }
    let (negative, digits) = sign(text);
    let whole_len = digit_count(digits);
    let after = digits.get(whole_len..)?;
    let fraction = after.strip_prefix('.').unwrap_or("");
    let fraction_len = digit_count(fraction);
    if whole_len + fraction_len == 0 {
        return None;
    }
    let whole = if whole_len == 0 { 0 } else { magnitude(digits.get(..whole_len)?)? };
    let rest = if after.starts_with('.') { fraction.get(fraction_len..)? } else { after };
    let value =
        whole.checked_mul(10_i128.pow(u32::try_from(places).ok()?))? + scaled(fraction.get(..fraction_len)?, places);
    Some(Number { value: if negative { -value } else { value }, rest, rounded: fraction_len > places })
}

/// What most numbers are: up to nine digits and nothing else.
fn few_digits(text: &str) -> Option<u64> {
    let digit = |value: u64, byte: u8| byte.is_ascii_digit().then(|| value * 10 + u64::from(byte - b'0'));
    (1..=9).contains(&text.len()).then(|| text.bytes().try_fold(0, digit))?
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn digit_count(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// Digits as a number; very many of them saturate.
fn magnitude(digits: &str) -> Option<i128> {
    if digits.is_empty() {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    if digits.len() > 24 {
        return Some(10_i128.pow(24));
    }
    if digits.is_empty() { Some(0) } else { digits.parse().ok() }
}

/// Decimals as units of 10^-places, rounded to the nearest.
fn scaled(fraction: &str, places: usize) -> i128 {
    let mut value = 0;
    for at in 0..places {
        let digit = fraction.as_bytes().get(at).map_or(0, |b| i128::from(b - b'0'));
        value = value * 10 + digit;
    }
    let up = fraction.as_bytes().get(places).is_some_and(|b| *b >= b'5');
    value + i128::from(up)
}

/// Microseconds as a duration; negative ones are zero.
pub(crate) fn microseconds(value: i128) -> Duration {
    Duration::from_micros(u64::try_from(value.max(0)).unwrap_or(u64::MAX))
}

/// on, true, yes, off, false, no.
pub(crate) fn switch(text: &str) -> Option<bool> {
    match text {
        "on" | "true" | "yes" => Some(true),
        "off" | "false" | "no" => Some(false),
        _ => None,
    }
}

/// An address and, after `/`, the text of its prefix length.
pub(crate) fn address_and_prefix(text: &str) -> (Option<IpAddr>, Option<&str>) {
    match text.split_once('/') {
        Some((address, prefix)) => (address.parse().ok(), Some(prefix)),
        None => (text.parse().ok(), None),
    }
}

/// The longest prefix of an address' family.
pub(crate) fn full_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_base_ten_and_a_sign() {
        let value = |t| whole(t).map(|n| (n.value, n.rest));
        assert_eq!(value("+77"), Some((77, "")));
        assert_eq!(value("0x40"), Some((0, "x40")));
        assert_eq!(value("-5;"), Some((-5, ";")));
        assert_eq!(value("="), None);
        assert_eq!(value(&"9".repeat(4000)).map(|v| v.1), Some(""));
    }

    #[test]
    fn decimals_are_rounded_where_they_end() {
        let value = |t| decimal(t, 6).map(|n| (n.value, n.rest, n.rounded));
        assert_eq!(value("0.5"), Some((500_000, "", false)));
        assert_eq!(value("3"), Some((3_000_000, "", false)));
        assert_eq!(value(".25"), Some((250_000, "", false)));
        assert_eq!(value("5s"), Some((5_000_000, "s", false)));
        assert_eq!(value("0.00000049"), Some((0, "", true)));
        assert_eq!(value("1.9999999"), Some((2_000_000, "", true)));
        assert_eq!(value("."), None);
        assert_eq!(value("1.2.3").map(|v| v.1), Some(".3"));
    }
}
