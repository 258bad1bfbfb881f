//! TCP, SMTP, DNS, UDP and PING: every attempt asks the same question.

use super::{Fault, Judge, JudgeKind, Judged};
use std::time::Duration;

impl Judge {
    pub(super) fn observe_plain(&mut self, answer: Result<(), &Fault>, events: &mut Vec<Judged>) -> Duration {
        match answer {
            Ok(()) => self.plain_pass(events),
            Err(fault) => self.plain_fail(fault, events),
        }
    }

    fn plain_pass(&mut self, events: &mut Vec<Judged>) -> Duration {
        self.standing.tries = 0;
        if self.unproven() {
            events.extend(self.success_line().map(Judged::Log));
            let mail = self.success_mail();
            self.rise(|| mail.to_owned(), events);
        }
        self.settings.delay_loop
    }

    fn plain_fail(&mut self, fault: &Fault, events: &mut Vec<Judged>) -> Duration {
        let final_failure = !self.retries_left();
        events.extend(self.attempt_line(fault, final_failure).map(Judged::Log));
        if !final_failure {
            self.standing.tries = self.standing.tries.saturating_add(1);
            return self.settings.delay_before_retry;
        }
        self.standing.tries = 0;
        if self.vulnerable() {
            events.extend(self.failure_line().map(Judged::Log));
            let mail = self.failure_mail(fault);
            self.fall(fault.detail.clone(), || mail, events);
        }
        self.settings.delay_loop
    }

    /// A server that is known as down: TCP and SMTP go through their retries again, the others wait for the next
    /// regular attempt.
    fn retries_left(&self) -> bool {
        let left = self.standing.tries < self.settings.retry;
        match self.kind {
            JudgeKind::Dns | JudgeKind::Udp | JudgeKind::Ping | JudgeKind::Grpc => self.vulnerable() && left,
            _ => left,
        }
    }

    fn success_line(&self) -> Option<String> {
        let service = &self.names.service;
        match self.kind {
            JudgeKind::Smtp => Some(format!("Remote SMTP server {service} succeed on service.")),
            JudgeKind::Dns => None,
            _ => Some(format!("{} connection to {service} success.", self.protocol())),
        }
    }

    fn failure_line(&self) -> Option<String> {
        let (service, retry) = (&self.names.service, self.settings.retry);
        let check = match self.kind {
            JudgeKind::Smtp | JudgeKind::Dns => return None,
            JudgeKind::Udp => "UDP_CHECK",
            JudgeKind::Ping => "ICMP CHECK",
            JudgeKind::Grpc => "GRPC_CHECK",
            _ => "TCP_CHECK",
        };
        if retry == 0 || !self.standing.tried {
            return Some(format!("{check} on service {service} failed."));
        }
        let of = match self.kind {
            JudgeKind::Ping => format!(" of {}", self.names.virtual_service),
            _ => String::new(),
        };
        Some(format!("{check} on service {service}{of} failed after {retry} retries."))
    }

    /// The line about a single failed attempt. SMTP and DNS have it instead of a line about the verdict.
    fn attempt_line(&self, fault: &Fault, final_failure: bool) -> Option<String> {
        let asked = self.settings.log_all_failures;
        let service = &self.names.service;
        match self.kind {
            JudgeKind::Smtp if self.vulnerable() && (asked || final_failure) => {
                Some(format!("SMTP_CHECK {}", fault.phrase))
            }
            JudgeKind::Dns if self.vulnerable() && (asked || final_failure) => {
                Some(self.dns_line(fault, final_failure))
            }
            JudgeKind::Smtp | JudgeKind::Dns => None,
            JudgeKind::Ping if self.standing.up && asked => Some(match fault.phrase.as_ref() {
                "timeout" => format!("ICMP connection to address {service} timeout."),
                _ => format!("ICMP connection to {service} of {} failed.", self.names.virtual_service),
            }),
            JudgeKind::Udp if self.standing.up && asked && fault.phrase != "failed" => {
                Some(format!("UDP check to {service} {}.", fault.phrase))
            }
            _ if self.standing.up && asked => {
                Some(format!("{} connection to {service} {}.", self.protocol(), fault.phrase))
            }
            _ => None,
        }
    }

    fn dns_line(&self, fault: &Fault, final_failure: bool) -> String {
        let line = format!("DNS_CHECK ({}) {}", self.names.service, fault.phrase);
        if final_failure && self.standing.tried {
            format!("{line} after {} retries", self.settings.retry)
        } else {
            line
        }
    }

    fn success_mail(&self) -> &'static str {
        match self.kind {
            JudgeKind::Udp => "=> UDP CHECK succeed on service <=",
            JudgeKind::Ping => "=> ICMP CHECK succeed on service <=",
            JudgeKind::Grpc => "=> GRPC CHECK succeed on service <=",
            JudgeKind::Dns => "=> DNS_CHECK: succeed on service <=",
            JudgeKind::Smtp => "=> CHECK succeed on service <=",
            _ => "=> TCP CHECK succeed on service <=",
        }
    }

    fn failure_mail(&self, fault: &Fault) -> String {
        match self.kind {
            JudgeKind::Dns => "=> DNS_CHECK: failed on service <=".to_owned(),
            JudgeKind::Smtp => format!("=> CHECK failed on service : {} <=", fault.phrase),
            _ => format!("=> {} CHECK failed on service <=", self.protocol()),
        }
    }

    fn protocol(&self) -> &'static str {
        match self.kind {
            JudgeKind::Udp => "UDP",
            JudgeKind::Ping => "ICMP",
            JudgeKind::Grpc => "GRPC",
            _ => "TCP",
        }
    }
}
