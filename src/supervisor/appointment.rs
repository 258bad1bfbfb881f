//! `reload_time_file`: a reload at the time that a file tells, so that several directors change at the same moment.
//!
//! What counts as a time, and what the log says of it, is keepalived's.

use crate::logging::clock::{self, Date};
use crate::track::line::FollowedLine;
use standfast_parser::model::Reloads;
use std::path::PathBuf;
use std::time::SystemTime;
use tracing::{info, warn};

/// The file, and when the reload is.
#[derive(Debug, Default)]
pub(super) struct Appointment {
    path: Option<PathBuf>,
    repeat: bool,
    line: Option<FollowedLine>,
    due: Option<Due>,
}

/// A moment that a file named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Due {
    at: SystemTime,
    /// It was named with its date, and comes once.
    dated: bool,
}

/// Why a line names no moment to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// Its length is that of no form.
    Form,
    /// It is not what the form of its length asks for.
    Words,
    /// No calendar and no clock has it.
    Never,
    Past,
}

impl Refusal {
    fn log(self, line: &str) {
        match self {
            Self::Form => info!("Reload time {line} format is incorrect - ignoring"),
            Self::Words => info!("Reload date/time {line} invalid - ignoring"),
            Self::Never => info!("Reload time {line} is not valid - ignoring"),
            Self::Past => {
                info!("Reload time {line} is in the past - ignoring");
                return info!("Reload date/time is in the past - ignoring");
            }
        }
        info!("Invalid reload time '{line}' specified - ignoring");
    }
}

impl Due {
    /// `HH:MM:SS`, `YY-MM-DD HH:MM:SS` or `YYYY-MM-DD HH:MM:SS`, each with or without a `Z`. Blanks may stand for zeros in
    /// front.
    fn parse(line: &str, now: SystemTime) -> Result<Self, Refusal> {
        let (rest, utc) = line.strip_suffix('Z').map_or((line, false), |rest| (rest, true));
        let (dated, year_digits) = match rest.len() {
            8 => (false, 0),
            17 => (true, 2),
            19 => (true, 4),
            _ => return Err(Refusal::Form),
        };
        let mut reader = Reader(rest);
        let date = if dated { reader.date(year_digits) } else { Some(clock::date_and_time(now, utc).0) };
        let (date, time) = date.zip(reader.time()).filter(|_| reader.0.is_empty()).ok_or(Refusal::Words)?;
        let at = moment(date, time, utc).ok_or(Refusal::Never)?;
        if at > now {
            return Ok(Self { at, dated });
        }
        if dated {
            return Err(Refusal::Past);
        }
        let at = clock::moment(date.next(), time, utc).ok_or(Refusal::Never)?;
        Ok(Self { at, dated })
    }

    fn shown(self) -> String {
        clock::plain_time(self.at, false)
    }
}

/// None for a day or an hour that there is not.
fn moment(date: Date, time: [u8; 3], utc: bool) -> Option<SystemTime> {
    let at = clock::moment(date, time, utc)?;
    (clock::date_and_time(at, utc) == (date, time)).then_some(at)
}

/// Reads as strptime(3) does.
struct Reader<'a>(&'a str);

impl Reader<'_> {
    fn date(&mut self, year_digits: usize) -> Option<Date> {
        let year = self.number(year_digits, 9999)?;
        let century = match year_digits {
            2 if year < 69 => 2000,
            2 => 1900,
            _ => 0,
        };
        self.skip('-')?;
        let month = self.byte(12)?;
        self.skip('-')?;
        let day = self.byte(31)?;
        self.0 = self.0.trim_start();
        (month > 0 && day > 0).then_some(Date { year: i32::from(year) + century, month, day })
    }

    fn time(&mut self) -> Option<[u8; 3]> {
        let hour = self.byte(23)?;
        self.skip(':')?;
        let minute = self.byte(59)?;
        self.skip(':')?;
        Some([hour, minute, self.byte(61)?])
    }

    fn byte(&mut self, largest: u8) -> Option<u8> {
        self.number(2, largest.into()).and_then(|number| u8::try_from(number).ok())
    }

    /// Blanks, and then as many digits as may make a number of the range.
    fn number(&mut self, digits: usize, largest: u16) -> Option<u16> {
        let text = self.0.trim_start_matches(' ');
        let mut number = None;
        let mut length = 0;
        for digit in text.chars().take(digits).map_while(|char| char.to_digit(10)) {
            let before = number.unwrap_or(0);
            if length > 0 && before * 10 > largest {
                break;
            }
            number = Some(before * 10 + u16::try_from(digit).ok()?);
            length += 1;
        }
        // Digits are one byte each.
        self.0 = text.get(length..)?;
        number.filter(|number| *number <= largest)
    }

    fn skip(&mut self, separator: char) -> Option<()> {
        self.0 = self.0.strip_prefix(separator)?;
        Some(())
    }
}

impl Appointment {
    /// Goes on with another configuration, and reads the file again.
    pub(super) fn configure(&mut self, reloads: &Reloads) {
        let path = reloads.time_file.as_ref().map(PathBuf::from);
        let line = path.as_deref().map(FollowedLine::start);
        *self = Self { path, line, repeat: reloads.repeat, due: None };
    }

    /// Ends when the moment has come; never without one. Cancel safe.
    pub(super) async fn comes(&mut self) {
        loop {
            let due = self.due;
            tokio::select! {
                line = next_of(&mut self.line) => self.take(line.as_deref(), SystemTime::now()),
                () = until(due) => return self.keep(),
            }
        }
    }

    /// The file says this, or nothing.
    fn take(&mut self, line: Option<&str>, now: SystemTime) {
        let Some(line) = line else { return self.cancel() };
        match Due::parse(line, now) {
            Ok(due) => self.schedule(due),
            Err(refusal) => {
                refusal.log(line);
                self.cancel();
            }
        }
    }

    fn schedule(&mut self, due: Due) {
        match self.due.replace(due) {
            None => info!("Scheduling reload for {}", due.shown()),
            Some(before) if before.at == due.at => {}
            Some(before) => info!("Reload time updated from {} to {}", before.shown(), due.shown()),
        }
    }

    fn cancel(&mut self) {
        if let Some(due) = self.due.take() {
            info!("Cancelling reload scheduled for {}", due.shown());
        }
    }

    /// The moment has come. The file has served its purpose, unless `reload_repeat` is set and it names a time of day.
    fn keep(&mut self) {
        let dated = self.due.take().is_some_and(|due| due.dated);
        let Some(path) = &self.path else { return };
        if self.repeat && !dated {
            // Tomorrow's is read anew, also if the reload is refused.
            self.line = Some(FollowedLine::start(path));
            return;
        }
        if let Err(error) = std::fs::remove_file(path) {
            warn!("Cannot remove {}: {error}", path.display());
        }
    }
}

async fn next_of(line: &mut Option<FollowedLine>) -> Option<String> {
    match line {
        Some(line) => line.next().await,
        None => std::future::pending().await,
    }
}

async fn until(due: Option<Due>) {
    let Some(due) = due else { return std::future::pending().await };
    // The clock that was asked and the one that wakes are not the same.
    while let Ok(left) = due.at.duration_since(SystemTime::now()) {
        tokio::time::sleep(left).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    /// 2026-11-21 00:21:05 UTC.
    const NOW: Duration = Duration::from_secs(1_795_220_465);

    fn parse(line: &str) -> Result<i64, Refusal> {
        let now = UNIX_EPOCH + NOW;
        let due = Due::parse(line, now)?;
        Ok(i64::try_from(due.at.duration_since(now).unwrap().as_secs()).unwrap())
    }

    #[test]
    fn times_of_day_are_today_or_tomorrow() {
        assert_eq!(parse("00:21:06Z"), Ok(1));
        assert_eq!(parse("00:21:05Z"), Ok(86_400));
        assert_eq!(parse("00:00:00Z"), Ok(86_400 - 21 * 60 - 5));
        assert!(parse("12:00:00").is_ok_and(|left| left <= 90_000), "a day may have 25 hours");
    }

    #[test]
    fn dates_are_once() {
        assert_eq!(parse("2026-11-21 00:22:05Z"), Ok(60));
        assert_eq!(parse("26-12-01 00:21:05Z"), Ok(10 * 86_400));
        assert_eq!(parse("2026-11-20 00:22:05Z"), Err(Refusal::Past));
        assert_eq!(parse("99-11-22 00:22:05Z"), Err(Refusal::Past), "of the last century");
        assert_eq!(parse("2027-02-30 00:00:00Z"), Err(Refusal::Never));
        assert_eq!(parse("2028-02-29 00:21:05Z").map(|left| left % 86_400), Ok(0));
    }

    #[test]
    fn blanks_may_stand_for_zeros() {
        assert_eq!(parse(" 1: 2: 3Z"), parse("01:02:03Z"));
        assert_eq!(parse("   1:2:3Z"), parse("01:02:03Z"));
        for line in ["2026-12- 1  1: 1: 1Z", "2026-12-1   1: 1: 1Z"] {
            assert_eq!(parse(line), parse("2026-12-01 01:01:01Z"));
        }
    }

    #[test]
    fn other_forms_are_none() {
        for line in ["", "Z", "1:00:00", "00:00:00 ", "00:00", "00:00:00z", "00:00:00\r", "026-01-01 00:00:00"] {
            assert_eq!(parse(line), Err(Refusal::Form), "{line:?}");
        }
        let words = [
            "24:00:00",
            "00:60:00",
            "00:00:62",
            "+1:00:00",
            "nonsense",
            "2026-1-1 00:00:00",
            "2026-13-01 00:00:00",
            "2026-00-01 00:00:00",
            "2026-é-01 00:00:00",
        ];
        for line in words {
            assert_eq!(parse(line), Err(Refusal::Words), "{line:?}");
        }
        assert_eq!(parse("00:00:60Z"), Err(Refusal::Never));
    }

    fn appointment(path: &std::path::Path, repeat: bool) -> Appointment {
        Appointment { path: Some(path.to_owned()), repeat, line: None, due: None }
    }

    #[test]
    fn a_line_schedules_moves_and_cancels() {
        let mut appointment = Appointment::default();
        let now = UNIX_EPOCH + NOW;
        let left = |appointment: &Appointment| appointment.due.map(|due| due.at.duration_since(now).unwrap().as_secs());
        appointment.take(None, now);
        assert_eq!(left(&appointment), None);
        appointment.take(Some("00:30:00Z"), now);
        assert_eq!(left(&appointment), Some(9 * 60 - 5));
        appointment.take(Some("00:31:00Z"), now);
        assert_eq!(left(&appointment), Some(10 * 60 - 5));
        appointment.take(Some("nonsense"), now);
        assert_eq!(left(&appointment), None);
        appointment.take(Some("00:31:00Z"), now);
        appointment.take(None, now);
        assert_eq!(left(&appointment), None);
    }

    #[tokio::test]
    async fn only_a_time_of_day_that_repeats_leaves_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("when");
        for (repeat, dated) in [(false, false), (false, true), (true, true), (true, false)] {
            std::fs::write(&path, "00:30:00Z").unwrap();
            let mut appointment = appointment(&path, repeat);
            appointment.due = Some(Due { at: UNIX_EPOCH + NOW, dated });
            appointment.comes().await;
            assert_eq!(path.exists(), repeat && !dated);
            assert_eq!(appointment.due, None);
            assert_eq!(appointment.line.is_some(), repeat && !dated, "tomorrow's");
        }
    }
}
