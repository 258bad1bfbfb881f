//! `reload_time_file`: a reload at the time that a file tells, so that several directors change at the same moment.

use crate::logging::clock::{self, Date};
use standfast_parser::model::Reloads;
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tracing::{info, warn};

/// More than any date and time.
const LONGEST: u64 = 64;

/// What the file says, and when that is.
#[derive(Debug, Default)]
pub(super) struct Appointment {
    path: Option<PathBuf>,
    repeat: bool,
    seen: Option<Stamp>,
    wanted: Option<When>,
    due: Option<SystemTime>,
}

/// What changes with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Self { inode: metadata.ino(), size: metadata.size(), modified }
    }
}

/// A line of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct When {
    date: Option<Date>,
    time: [u8; 3],
    utc: bool,
}

impl When {
    /// `HH:MM:SS`, `YY-MM-DD HH:MM:SS` or `YYYY-MM-DD HH:MM:SS`, each with or without a `Z`, and nothing else.
    fn parse(line: &str) -> Option<Self> {
        let (rest, utc) = line.strip_suffix('Z').map_or((line, false), |rest| (rest, true));
        let (date, time) = rest.split_once(' ').map_or((None, rest), |(date, time)| (Some(date), time));
        let [hour, minute, second] = numbers(time, ':')?;
        let date = match date {
            Some(date) => Some(parse_date(date)?),
            None => None,
        };
        let sound = hour < 24 && minute < 60 && second < 60;
        sound.then_some(Self { date, time: [hour, minute, second], utc })
    }

    /// The next moment of that kind; none for a date that is over or that no calendar has.
    fn after(self, now: SystemTime) -> Option<SystemTime> {
        let Some(date) = self.date else {
            let today = clock::date(now, self.utc);
            let at = clock::moment(today, self.time, self.utc)?;
            return if at > now { Some(at) } else { clock::moment(today.next(), self.time, self.utc) };
        };
        let at = clock::moment(date, self.time, self.utc)?;
        (clock::date(at, self.utc) == date && at > now).then_some(at)
    }
}

fn parse_date(text: &str) -> Option<Date> {
    let (year, rest) = text.split_once('-')?;
    let [month, day] = numbers(rest, '-')?;
    let century = match year.len() {
        2 => 2000,
        4 => 0,
        _ => return None,
    };
    let digits = year.bytes().all(|byte| byte.is_ascii_digit());
    let year: i32 = year.parse().ok().filter(|_| digits)?;
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some(Date { year: year + century, month, day })
}

/// Numbers of two digits each.
fn numbers<const N: usize>(text: &str, separator: char) -> Option<[u8; N]> {
    let parts: Vec<&str> = text.split(separator).collect();
    let number = |part: &&str| {
        let sound = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u8>().ok().filter(|_| sound)
    };
    parts.iter().map(number).collect::<Option<Vec<u8>>>()?.try_into().ok()
}

impl Appointment {
    /// Goes on with another configuration, and reads the file again.
    pub(super) fn configure(&mut self, reloads: &Reloads) {
        let path = reloads.time_file.as_ref().map(PathBuf::from);
        *self = Self { path, repeat: reloads.repeat, ..Self::default() };
    }

    /// Looks whether the file has changed.
    pub(super) fn look(&mut self, now: SystemTime) {
        let Some(path) = &self.path else { return };
        let seen = std::fs::metadata(path).ok().filter(Metadata::is_file).map(|metadata| Stamp::of(&metadata));
        if seen == self.seen {
            return;
        }
        self.seen = seen;
        let line = if seen.is_some() { first_line(path) } else { None };
        self.wanted = line.as_deref().and_then(When::parse);
        self.due = self.wanted.and_then(|when| when.after(now));
        let shown = path.display();
        match (self.due, line) {
            (Some(due), _) => info!("Reload at {} as {shown} says", clock::console_time(due)),
            (None, Some(line)) => warn!("`{line}` in {shown} is no time to come - no reload is scheduled"),
            (None, None) => info!("No reload is scheduled: there is no {shown}"),
        }
    }

    /// Ends when the moment has come; never without one.
    pub(super) async fn due(&self) {
        match self.due {
            Some(due) => {
                let left = due.duration_since(SystemTime::now()).unwrap_or_default();
                tokio::time::sleep(left).await;
            }
            None => std::future::pending().await,
        }
    }

    /// The moment has come. Without `reload_repeat` the file has served its purpose.
    pub(super) fn keep(&mut self, now: SystemTime) {
        self.due = self.wanted.filter(|when| self.repeat && when.date.is_none()).and_then(|when| when.after(now));
        let Some(path) = self.path.as_ref().filter(|_| !self.repeat) else { return };
        if let Err(error) = std::fs::remove_file(path) {
            warn!("Cannot remove {}: {error}", path.display());
        }
    }
}

fn first_line(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
    text.lines().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    /// 2026-11-21 00:21:05 UTC.
    const NOW: Duration = Duration::from_secs(1_795_220_465);

    fn seconds_until(line: &str) -> Option<i64> {
        let now = UNIX_EPOCH + NOW;
        let at = When::parse(line)?.after(now)?;
        at.duration_since(now).ok().map(|left| i64::try_from(left.as_secs()).unwrap())
    }

    #[test]
    fn times_of_day_are_today_or_tomorrow() {
        assert_eq!(seconds_until("00:21:06Z"), Some(1));
        assert_eq!(seconds_until("00:21:05Z"), Some(86_400));
        assert_eq!(seconds_until("00:00:00Z"), Some(86_400 - 21 * 60 - 5));
        assert!(seconds_until("12:00:00").is_some_and(|left| left <= 90_000), "a day may have 25 hours");
    }

    #[test]
    fn dates_are_once() {
        assert_eq!(seconds_until("2026-11-21 00:22:05Z"), Some(60));
        assert_eq!(seconds_until("26-12-01 00:21:05Z"), Some(10 * 86_400));
        assert_eq!(seconds_until("2026-11-20 00:22:05Z"), None);
        assert_eq!(seconds_until("2027-02-30 00:00:00Z"), None, "no calendar has that day");
        assert_eq!(seconds_until("2028-02-29 00:21:05Z").map(|left| left % 86_400), Some(0));
    }

    #[test]
    fn other_forms_are_none() {
        for line in
            ["", "Z", "1:00:00", "24:00:00", "00:60:00", "00:00:00 ", " 00:00:00", "00:00", "00:00:00z", "+1:00:00"]
        {
            assert_eq!(When::parse(line), None, "{line:?}");
        }
        for line in [
            "2026-1-01 00:00:00",
            "026-01-01 00:00:00",
            "2026-13-01 00:00:00",
            "2026-01-01  00:00:00",
            "é-01-01 00:00:00",
        ] {
            assert_eq!(When::parse(line), None, "{line:?}");
        }
    }

    #[test]
    fn the_file_is_followed_and_removed_when_it_is_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("when");
        let mut appointment = Appointment::default();
        let time_file = Some(path.display().to_string());
        appointment.configure(&Reloads { time_file, ..Reloads::default() });
        let now = UNIX_EPOCH + NOW;
        appointment.look(now);
        assert_eq!(appointment.due, None);
        std::fs::write(&path, "00:30:00Z\nanything").unwrap();
        appointment.look(now);
        let due = appointment.due.unwrap();
        assert_eq!(due.duration_since(now).unwrap().as_secs(), 9 * 60 - 5);
        std::fs::write(&path, "nonsense").unwrap();
        appointment.look(now);
        assert_eq!(appointment.due, None);
        std::fs::write(&path, "00:30:00Z").unwrap();
        appointment.look(now);
        appointment.keep(due);
        assert!(appointment.due.is_none() && !path.exists());
    }

    #[test]
    fn what_repeats_comes_again_tomorrow() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("when");
        std::fs::write(&path, "00:30:00Z").unwrap();
        let mut appointment = Appointment::default();
        appointment.configure(&Reloads {
            time_file: Some(path.display().to_string()),
            repeat: true,
            ..Reloads::default()
        });
        appointment.look(UNIX_EPOCH + NOW);
        let first = appointment.due.unwrap();
        appointment.keep(first);
        assert_eq!(appointment.due.unwrap().duration_since(first).unwrap().as_secs(), 86_400);
        assert!(path.exists());
    }
}
