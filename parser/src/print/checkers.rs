use super::Printer;
use super::words::{command, escaped_word, user_words, word};
use crate::model::{Checker, CheckerKind, HttpCheck, HttpProtocol, HttpUrl, UdpCheck};

impl Printer {
    pub(super) fn checker(&mut self, checker: &Checker) {
        self.block(checker.kind.keyword(), |p| {
            p.kind(&checker.kind);
            if let CheckerKind::Misc(check) = &checker.kind {
                // Only whole seconds can be written; others come from `delay_loop`.
                p.optional("misc_timeout", (check.timeout != checker.delay_loop).then_some(check.timeout.as_secs()));
            }
            if matches!(checker.kind, CheckerKind::Bfd(_)) {
                p.switch("alpha", checker.alpha);
            }
            if !matches!(checker.kind, CheckerKind::Misc(_) | CheckerKind::File(_) | CheckerKind::Bfd(_)) {
                p.connection(checker);
            }
            if !matches!(checker.kind, CheckerKind::File(_) | CheckerKind::Bfd(_)) {
                p.judgement(checker);
            }
        });
    }

    fn connection(&mut self, checker: &Checker) {
        self.value("connect_ip", checker.connect.ip());
        if checker.connect.port() != 0 {
            self.value("connect_port", checker.connect.port());
        }
        if let Some(bind) = checker.bind {
            self.value("bindto", bind.ip());
            self.optional("bind_port", Some(bind.port()).filter(|p| *p != 0));
        }
        self.text("bind_if", checker.bind_if.as_deref());
        self.optional("fwmark", checker.fwmark);
        self.seconds("connect_timeout", checker.connect_timeout);
    }

    fn judgement(&mut self, checker: &Checker) {
        self.seconds("delay_loop", checker.delay_loop);
        if let Some(warmup) = checker.warmup {
            self.seconds("warmup", warmup);
        }
        self.value("retry", checker.retry);
        self.seconds("delay_before_retry", checker.delay_before_retry);
        self.switch("alpha", checker.alpha);
        self.switch("log_all_failures", checker.log_all_failures);
    }

    fn kind(&mut self, kind: &CheckerKind) {
        match kind {
            CheckerKind::Tcp | CheckerKind::Ping => {}
            CheckerKind::Http(check) => self.http(check),
            CheckerKind::Misc(check) => {
                self.value("misc_path", command(&check.script.argv));
                self.optional("user", check.script.user.as_ref().map(user_words));
                self.flag("misc_dynamic", check.dynamic);
            }
            CheckerKind::Smtp { helo_name } => self.value("helo_name", word(helo_name)),
            CheckerKind::Dns { record, name } => {
                self.value("type", word(record));
                self.value("name", word(name));
            }
            CheckerKind::Grpc { service, tls } => {
                self.text("service", Some(service.as_str()).filter(|s| !s.is_empty()));
                self.switch("tls", *tls);
            }
            CheckerKind::Udp(check) => self.udp(check),
            CheckerKind::File(tracked) => {
                self.value("track_file", word(&tracked.name));
                let reverse = if tracked.reverse == Some(true) { " reverse" } else { "" };
                self.optional("weight", tracked.weight.map(|w| format!("{w}{reverse}")));
            }
            CheckerKind::Bfd(name) => self.value("name", word(name)),
        }
    }

    fn udp(&mut self, check: &UdpCheck) {
        let byte = |b: &Option<u8>| b.map_or("xx".to_owned(), |b| format!("{b:02x}"));
        let hex = |bytes: &[Option<u8>]| bytes.iter().map(byte).collect::<String>();
        if let Some(payload) = &check.payload {
            let bytes: Vec<_> = payload.iter().copied().map(Some).collect();
            self.value("payload", hex(&bytes));
        }
        if let Some(reply) = &check.require_reply {
            self.line(format!("require_reply {}", hex(reply)).trim_end());
        }
        self.value("min_reply_length", check.min_reply_length);
        self.value("max_reply_length", check.max_reply_length);
    }

    fn http(&mut self, check: &HttpCheck) {
        let version = match check.http_protocol {
            HttpProtocol::V1_0 => "1.0",
            HttpProtocol::V1_0Close => "1.0C",
            HttpProtocol::V1_1 => "1.1",
        };
        self.value("http_protocol", version);
        self.switch("enable_sni", check.enable_sni);
        self.switch("fast_recovery", check.fast_recovery);
        self.text("sni_name", check.sni_name.as_deref());
        if check.tls_compliant {
            self.switch("tls_compliant", true);
        }
        self.optional("tls_expiry_min", check.tls_expiry_min);
        self.text("method", check.method.as_deref());
        for (name, value) in &check.headers {
            self.words(["header", name, value]);
        }
        if let Some((user, password)) = &check.basic_auth {
            self.words(["basic_auth", user, password]);
        }
        check.urls.iter().for_each(|u| self.url(u));
    }

    fn url(&mut self, url: &HttpUrl) {
        self.block("url", |p| {
            p.value("path", word(&url.path));
            p.text("virtualhost", url.virtualhost.as_deref());
            p.optional("digest", url.digest.map(|d| d.iter().map(|b| format!("{b:02x}")).collect::<String>()));
            let codes = url.status_codes.iter().map(|(low, high)| format!("{low}-{high}"));
            let codes: Vec<String> = codes.collect();
            p.optional("status_code", (!codes.is_empty()).then(|| codes.join(" ")));
            if url.tls_compliant {
                p.switch("tls_compliant", true);
            }
            p.text("body_match", url.body_match.as_deref());
            p.optional("regex", url.regex.as_ref().map(|r| escaped_word(r)));
            p.flag("regex_no_match", url.regex_no_match);
            if !url.regex_options.is_empty() {
                p.words(std::iter::once("regex_options").chain(url.regex_options.iter().map(String::as_str)));
            }
            p.value("regex_min_offset", url.regex_min_offset);
            p.optional("regex_max_offset", url.regex_max_offset);
        });
    }
}
