//! Local time in the forms that log lines use.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

/// `2026-11-21 00:21:05`, of UTC or local time.
#[must_use]
pub fn plain_time(time: SystemTime, utc: bool) -> String {
    let tm = if utc { universal(time) } else { local(time) };
    let year = i64::from(tm.tm_year) + 1900;
    format!("{year:04}-{:02}-{:02} {}", tm.tm_mon + 1, tm.tm_mday, clock_of(&tm))
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

/// A day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    /// Year.
    pub year: i32,
    /// Month, 1..=12.
    pub month: u8,
    /// Day of the month, from 1.
    pub day: u8,
}

impl Date {
    /// The day after, perhaps as one more than its month has, which [`moment`] understands.
    #[must_use]
    pub fn next(self) -> Self {
        Self { day: self.day + 1, ..self }
    }
}

/// The day and the time (hours, minutes, seconds) of a moment, of UTC or local time.
#[must_use]
pub fn date_and_time(time: SystemTime, utc: bool) -> (Date, [u8; 3]) {
    let tm = if utc { universal(time) } else { local(time) };
    let small = |number: i32| u8::try_from(number).unwrap_or(0);
    let date = Date { year: tm.tm_year + 1900, month: small(tm.tm_mon + 1), day: small(tm.tm_mday) };
    (date, [tm.tm_hour, tm.tm_min, tm.tm_sec].map(small))
}

/// The moment of a day and a time (hours, minutes, seconds), of UTC or local time; `None` before the epoch.
#[must_use]
pub fn moment(date: Date, [hour, minute, second]: [u8; 3], utc: bool) -> Option<SystemTime> {
    let mut tm = libc::tm {
        tm_year: date.year - 1900,
        tm_mon: i32::from(date.month) - 1,
        tm_mday: date.day.into(),
        tm_hour: hour.into(),
        tm_min: minute.into(),
        tm_sec: second.into(),
        // Whether summer time holds is the system's to know.
        tm_isdst: -1,
        ..zeros()
    };
    // SAFETY: `tm` is a live local; both calls read it and bring its fields into their ranges.
    let seconds = unsafe { if utc { libc::timegm(&raw mut tm) } else { libc::mktime(&raw mut tm) } };
    UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
}

fn zeros() -> libc::tm {
    // SAFETY: `tm` is plain data for which all zeros (a null zone name) is a valid value.
    unsafe { std::mem::zeroed() }
}

fn seconds_of(time: SystemTime) -> libc::time_t {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    libc::time_t::try_from(seconds).unwrap_or(libc::time_t::MAX)
}

fn local(time: SystemTime) -> libc::tm {
    let (seconds, mut tm) = (seconds_of(time), zeros());
    // SAFETY: both pointers are to live locals; on failure `tm` stays as it is.
    unsafe { libc::localtime_r(&raw const seconds, &raw mut tm) };
    tm
}

fn universal(time: SystemTime) -> libc::tm {
    let (seconds, mut tm) = (seconds_of(time), zeros());
    // SAFETY: both pointers are to live locals; on failure `tm` stays as it is.
    unsafe { libc::gmtime_r(&raw const seconds, &raw mut tm) };
    tm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_agree_on_the_same_moment() {
        let time = UNIX_EPOCH + Duration::from_micros(1_795_220_465_314_908);
        let console = console_time(time);
        let (day, rest) = console.split_at(4);
        let (rest, year) = rest.split_at(rest.len() - 5);
        assert_eq!((day.trim(), year.trim()), ("Sat", "2026"));
        assert_eq!(syslog_time(time), rest);
        assert_eq!(plain_time(time, true), "2026-11-21 00:21:05");
        assert_eq!(dump_time(time), format!("{day}{rest}.314908{year}"));
    }
}
