//! HTTP_GET and SSL_GET: one URL an attempt, all of them for a verdict "up".

use super::{Evidence, Fault, Judge, JudgeKind, Judged};
use std::time::Duration;

/// Where a checker stands in its list of URLs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Round {
    url: usize,
    /// The URL that brought the server down and that has not passed since.
    failed: Option<usize>,
}

impl Round {
    pub(super) fn url(&self) -> usize {
        self.url
    }
}

impl Judge {
    pub(super) fn observe_url(&mut self, answer: Result<Evidence, &Fault>, events: &mut Vec<Judged>) -> Duration {
        let delay = match answer {
            Ok(evidence) => self.url_passed(evidence, events),
            Err(fault) => self.url_failed(fault, events),
        };
        if self.hurried() { Duration::ZERO } else { delay }
    }

    fn url_passed(&mut self, evidence: Evidence, events: &mut Vec<Judged>) -> Duration {
        if !self.standing.up {
            events.push(Judged::Log(self.url_line(evidence)));
        }
        self.standing.tries = 0;
        // After the failed URL has passed, all of them are asked again before the server counts as up.
        if self.round.failed.take().is_some() {
            self.round.url = 0;
        } else {
            self.advance(events);
        }
        if !self.standing.has_run {
            self.standing.tries = self.first_tries();
        }
        self.settings.delay_loop
    }

    fn advance(&mut self, events: &mut Vec<Judged>) {
        self.round.url += 1;
        if self.round.url < self.url_count() {
            return;
        }
        self.round.url = 0;
        if self.unproven() {
            events.push(Judged::Log(format!("Remote Web server {} succeed on service.", self.names.service)));
            self.rise(|| "=> CHECK succeed on service <=".to_owned(), events);
        }
    }

    fn url_failed(&mut self, fault: &Fault, events: &mut Vec<Judged>) -> Duration {
        if self.vulnerable() {
            self.url_retry(fault, events);
        }
        match self.round.failed {
            Some(_) => self.settings.delay_before_retry.max(self.settings.delay_loop),
            None => self.settings.delay_before_retry,
        }
    }

    fn url_retry(&mut self, fault: &Fault, events: &mut Vec<Judged>) {
        if self.settings.log_all_failures {
            events.push(Judged::Log(format!("{} server {}.", fault.phrase, self.names.service)));
        }
        self.standing.tries = self.standing.tries.saturating_add(1);
        if self.standing.tries <= self.settings.retry {
            return;
        }
        self.standing.tries = 0;
        events.push(Judged::Log(self.http_failure_line()));
        self.fall(
            fault.detail.clone(),
            || "=> CHECK failed on service : HTTP/SSL request failed <=".to_owned(),
            events,
        );
        self.round.failed = Some(self.round.url);
    }

    fn http_failure_line(&self) -> String {
        let service = &self.names.service;
        match self.settings.retry {
            0 => format!("HTTP_CHECK on service {service} failed."),
            retry => format!("HTTP_CHECK on service {service} failed after {retry} retries."),
        }
    }

    fn url_line(&self, evidence: Evidence) -> String {
        let what = match evidence {
            Evidence::Status => "HTTP status code",
            Evidence::Digest => "MD5 digest",
            Evidence::Pattern => "Regex match",
        };
        let path = match &self.kind {
            JudgeKind::Http { paths, .. } => paths.get(self.round.url).map_or("", String::as_str),
            _ => "",
        };
        format!("{what} success to {} url({path})", self.names.service)
    }

    fn url_count(&self) -> usize {
        match &self.kind {
            JudgeKind::Http { paths, .. } => paths.len(),
            _ => 1,
        }
    }

    /// `fast_recovery`: no pause while nothing is known against the server but it is not proven either.
    fn hurried(&self) -> bool {
        let fast = matches!(self.kind, JudgeKind::Http { fast_recovery: true, .. });
        fast && (!self.standing.has_run || (!self.standing.up && self.round.failed.is_none()))
    }
}
