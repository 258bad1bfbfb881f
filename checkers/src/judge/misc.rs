//! MISC_CHECK: exit statuses, weights, delays counted from the start of the program.

use super::{Judge, JudgeKind, Judged, Judgement};
use crate::script::Outcome;
use std::time::Instant;

impl Judge {
    pub(super) fn observe_script(&mut self, outcome: &Outcome, started: Instant, finished: Instant) -> Judgement {
        let mut events = Vec::new();
        match self.wanted_weight(outcome) {
            Some(weight) => self.script_passed(weight, &mut events),
            None => self.script_failed(outcome, &mut events),
        }
        let delay = if self.standing.tries > 0 { self.settings.delay_before_retry } else { self.settings.delay_loop };
        Judgement { next: (started + delay).max(finished), events }
    }

    /// `None` for a failure, else the weight asked for.
    fn wanted_weight(&self, outcome: &Outcome) -> Option<Option<i32>> {
        let dynamic = matches!(self.kind, JudgeKind::Misc { dynamic: true, .. });
        match outcome {
            Outcome::Exited(0) => Some(None),
            Outcome::Exited(status @ 2..) if dynamic => Some(Some(i32::from(*status) - 2)),
            _ => None,
        }
    }

    fn script_passed(&mut self, weight: Option<i32>, events: &mut Vec<Judged>) {
        self.standing.tries = 0;
        if weight != self.weight {
            self.weight = weight;
            events.push(Judged::Weight(weight));
        }
        if self.unproven() {
            events.push(Judged::Log(self.script_line("succeeded", "", "")));
            // Unlike the other checkers, this one mails its first verdict, too.
            let mail = Some("=> MISC CHECK succeeded on service <=".to_owned());
            self.rise(String::new, events);
            set_mail(events, mail);
        }
    }

    fn script_failed(&mut self, outcome: &Outcome, events: &mut Vec<Judged>) {
        if !self.vulnerable() {
            return;
        }
        let (word, reason) = failure_words(outcome);
        let final_failure = self.standing.tries >= self.settings.retry;
        self.standing.tries = if final_failure { 0 } else { self.standing.tries + 1 };
        if final_failure || self.settings.log_all_failures {
            events.push(Judged::Log(self.script_line(word, &self.patience(), &reason)));
        }
        if final_failure {
            self.weight = None;
            self.fall(format!("{word}{reason}"), String::new, events);
            set_mail(events, Some(format!("=> MISC CHECK {word} on service <=")));
        }
    }

    fn script_line(&self, word: &str, patience: &str, reason: &str) -> String {
        let program = match &self.kind {
            JudgeKind::Misc { program, .. } => program.as_str(),
            _ => "",
        };
        let (service, virtual_service) = (&self.names.service, &self.names.virtual_service);
        format!("Misc check for [{service} VS {virtual_service}] by [{program}] {word}{patience}{reason}.")
    }

    /// How the failure stands to the retries; `tries` counts this failure, 0 if it was the last.
    fn patience(&self) -> String {
        let retry = self.settings.retry;
        let retries = if retry == 1 { "retry" } else { "retries" };
        match (retry, self.standing.tries) {
            (0, _) => " with retry disabled".to_owned(),
            (_, 0) => format!(" after {retry} {retries}"),
            (_, 1) => format!(", will do {retry} {retries}"),
            (_, tries) => format!(" on retry {}/{retry}", tries - 1),
        }
    }
}

fn failure_words(outcome: &Outcome) -> (&'static str, String) {
    match outcome {
        Outcome::Exited(status) => ("failed", format!(" (exited with status {status})")),
        Outcome::Signaled(signal) => ("failed", format!(" (due to signal {signal})")),
        Outcome::TimedOut => ("timed out", String::new()),
    }
}

fn set_mail(events: &mut [Judged], body: Option<String>) {
    if let Some(Judged::Up { mail, .. } | Judged::Down { mail, .. }) = events.last_mut() {
        *mail = body;
    }
}
