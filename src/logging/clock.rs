//! Local time in the forms that log lines use.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The time of day of an instant, by the present on both clocks; moments before the epoch become the epoch.
#[must_use]
pub fn time_of(at: Instant, (instant, time): (Instant, SystemTime)) -> SystemTime {
    let moved = match at.checked_duration_since(instant) {
        Some(ahead) => time.checked_add(ahead),
        None => time.checked_sub(instant.saturating_duration_since(at)),
    };
    moved.unwrap_or(UNIX_EPOCH)
}

/// `Sat Nov 21 00:21:05 2026`, the form of keepalived's console.
#[must_use]
pub fn console_time(time: SystemTime) -> String {
    let tm = local(time);
    format!("{} {} {} {}", name(&DAYS, tm.tm_wday), date_of(&tm), clock_of(&tm), i64::from(tm.tm_year) + 1900)
}

/// `Sat Nov 21 00:21:05.314908 2026`, the form of keepalived's dumps.
#[must_use]
pub fn dump_time(time: SystemTime) -> String {
    let tm = local(time);
    let micros = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_micros());
    let year = i64::from(tm.tm_year) + 1900;
    format!("{} {} {}.{micros:06} {year}", name(&DAYS, tm.tm_wday), date_of(&tm), clock_of(&tm))
}

/// `Nov 21 00:21:05`, the form of RFC 3164.
#[must_use]
pub fn syslog_time(time: SystemTime) -> String {
    let tm = local(time);
    format!("{} {}", date_of(&tm), clock_of(&tm))
}

fn date_of(tm: &libc::tm) -> String {
    format!("{} {:2}", name(&MONTHS, tm.tm_mon), tm.tm_mday)
}

fn clock_of(tm: &libc::tm) -> String {
    format!("{:02}:{:02}:{:02}", tm.tm_hour, tm.tm_min, tm.tm_sec)
}

fn name(names: &[&'static str], index: i32) -> &'static str {
    usize::try_from(index).ok().and_then(|index| names.get(index)).copied().unwrap_or("???")
}

fn local(time: SystemTime) -> libc::tm {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let seconds = libc::time_t::try_from(seconds).unwrap_or(libc::time_t::MAX);
    // SAFETY: `tm` is plain data for which all zeros (a null zone name) is a valid value.
    let mut tm: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live locals; on failure `tm` stays as it is.
    unsafe { libc::localtime_r(&raw const seconds, &raw mut tm) };
    tm
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn forms_agree_on_the_same_moment() {
        let time = UNIX_EPOCH + Duration::from_micros(1_795_220_465_314_908);
        let console = console_time(time);
        let (day, rest) = console.split_at(4);
        let (rest, year) = rest.split_at(rest.len() - 5);
        assert_eq!((day.trim(), year.trim()), ("Sat", "2026"));
        assert_eq!(syslog_time(time), rest);
        assert_eq!(dump_time(time), format!("{day}{rest}.314908{year}"));
    }
}
