//! What is printed: events as they happen, then the summary.

use std::fmt::Display;
use std::time::{Duration, Instant};

struct Measure {
    what: String,
    value: String,
    expected: String,
    good: bool,
}

/// The clock and the notes of one run.
pub struct Timeline {
    start: Instant,
    measures: Vec<Measure>,
}

impl Timeline {
    pub fn start() -> Timeline {
        Timeline { start: Instant::now(), measures: Vec::new() }
    }

    /// Prints an event with its time.
    pub fn say(&self, event: impl Display) {
        println!("{:8.3} s  {event}", self.start.elapsed().as_secs_f64());
    }

    /// Prints and keeps a measured value; `good` says whether it is what `expected` describes.
    pub fn measure(&mut self, what: &str, value: impl Display, expected: &str, good: bool) {
        let value = value.to_string();
        let verdict = if good { String::new() } else { format!("   <-- expected {expected}") };
        self.say(format_args!("    {what}: {value}{verdict}"));
        self.measures.push(Measure { what: what.into(), value, expected: expected.into(), good });
    }

    /// Prints the table; was everything as expected?
    pub fn summary(&self) -> bool {
        let width = |pick: fn(&Measure) -> &String| self.measures.iter().map(|m| pick(m).len()).max().unwrap_or(0);
        let (what, value) = (width(|m| &m.what), width(|m| &m.value));
        println!();
        for m in &self.measures {
            let verdict = if m.good { "ok  " } else { "FAIL" };
            println!("  {verdict}  {:what$}  {:>value$}  ({})", m.what, m.value, m.expected);
        }
        let bad = self.measures.iter().filter(|m| !m.good).count();
        let took = self.start.elapsed().as_secs_f64();
        match bad {
            0 => println!("\nEverything was as expected; {took:.0} s."),
            _ => println!("\n{bad} of {} measurements were not as expected; {took:.0} s.", self.measures.len()),
        }
        bad == 0
    }
}

/// Milliseconds below ten seconds, for people.
pub fn ms(duration: Duration) -> String {
    format!("{:.0} ms", duration.as_secs_f64() * 1000.0)
}
