//! `HTTP_GET` and `SSL_GET`.

use super::virtual_server::Inherited;
use super::{Builder, Item};
use crate::diagnostic::Diagnostic;
use crate::lexer::script::argv;
use crate::model::{HttpCheck, HttpProtocol, HttpUrl};
use crate::table;

/// What the keywords of an HTTP checker said.
#[derive(Debug)]
pub(super) struct HttpDraft {
    pub(super) check: HttpCheck,
    pub(super) urls: Vec<HttpUrl>,
    pub(super) virtualhost: Option<String>,
}

impl HttpDraft {
    pub(super) fn new(tls: bool) -> Self {
        let check = HttpCheck {
            tls,
            enable_sni: false,
            sni_name: None,
            tls_compliant: false,
            tls_expiry_min: None,
            method: None,
            headers: Vec::new(),
            basic_auth: None,
            http_protocol: HttpProtocol::V1_0,
            fast_recovery: false,
            urls: Vec::new(),
        };
        Self { check, urls: Vec::new(), virtualhost: None }
    }

    /// The check, with the host names of the checker, then of the server.
    pub(super) fn settle(self, virtualhost: Option<&str>) -> HttpCheck {
        let host = self.virtualhost.or(virtualhost.map(str::to_owned));
        let mut check = self.check;
        check.urls = self.urls;
        for url in &mut check.urls {
            if url.virtualhost.is_none() {
                url.virtualhost.clone_from(&host);
            }
            url.tls_compliant |= check.tls_compliant;
        }
        check
    }
}

impl<'t> Builder<'t> {
    pub(super) fn http_keyword(&mut self, draft: &mut HttpDraft, common: &mut Inherited, item: &Item<'t>) -> bool {
        match item.name() {
            "nb_get_retry" => common.retry = item.unsigned().or(common.retry),
            "virtualhost" => draft.virtualhost = item.text_value(),
            "fast_recovery" => draft.check.fast_recovery = item.switch(),
            "enable_sni" => draft.check.enable_sni = item.switch(),
            "http_protocol" => self.http_protocol(draft, item),
            "url" => draft.urls.extend(self.url(item)),
            "sni_name" => draft.check.sni_name = item.text_value(),
            "tls_compliant" => draft.check.tls_compliant = item.switch(),
            "tls_expiry_min" => draft.check.tls_expiry_min = item.unsigned().or(draft.check.tls_expiry_min),
            "method" => draft.check.method = item.text_value(),
            "header" => draft.check.headers.extend(self.two_words(item)),
            "basic_auth" => draft.check.basic_auth = self.two_words(item).or(draft.check.basic_auth.take()),
            _ => return false,
        }
        true
    }

    fn two_words(&mut self, item: &Item<'t>) -> Option<(String, String)> {
        if let [first, second] = item.arguments().as_slice() {
            return Some((first.text.to_owned(), second.text.to_owned()));
        }
        let text = format!("`{}` needs two words", item.name());
        let found = Diagnostic::error("missing-value", text).at(item.span());
        self.report(found.help("put a value with blanks in double quotes; the line is ignored"));
        None
    }

    fn http_protocol(&mut self, draft: &mut HttpDraft, item: &Item<'t>) {
        draft.check.http_protocol = match item.word() {
            Some("1.0") => HttpProtocol::V1_0,
            Some("1.0C" | "1.0c") => HttpProtocol::V1_0Close,
            Some("1.1") => HttpProtocol::V1_1,
            other => {
                let text = format!("unknown HTTP version `{}`", other.unwrap_or(""));
                let found = Diagnostic::error("unknown-http-version", text).at(item.argument_span());
                return self.report(found.help("1.0, 1.0C or 1.1; the line is ignored"));
            }
        };
    }

    fn url(&mut self, item: &Item<'t>) -> Option<HttpUrl> {
        let mut url = HttpUrl {
            path: String::new(),
            virtualhost: None,
            digest: None,
            status_codes: Vec::new(),
            tls_compliant: false,
            body_match: None,
            regex: None,
            regex_no_match: false,
            regex_options: Vec::new(),
            regex_min_offset: 0,
            regex_max_offset: None,
        };
        for child in self.children(item.id) {
            if let Some(child) = self.item(child, &table::URL) {
                self.url_keyword(&mut url, &child);
            }
        }
        if url.path.is_empty() {
            let found = Diagnostic::error("no-path", "this `url` has no `path`").at(item.span());
            self.report(found.help("the url is ignored"));
            return None;
        }
        Some(url)
    }

    fn url_keyword(&mut self, url: &mut HttpUrl, item: &Item<'t>) {
        match item.name() {
            "path" => url.path = item.text_value().unwrap_or_default(),
            "virtualhost" => url.virtualhost = item.text_value(),
            "digest" => url.digest = self.digest(item).or(url.digest),
            "status_code" => self.status_codes(url, item),
            "tls_compliant" => url.tls_compliant = item.switch(),
            "body_match" => url.body_match = item.text_value(),
            "regex" => url.regex = self.escaped_word(item),
            "regex_no_match" => url.regex_no_match = true,
            "regex_options" => url.regex_options.extend(item.arguments().iter().map(|a| a.text.to_owned())),
            "regex_min_offset" => url.regex_min_offset = item.unsigned().unwrap_or_default(),
            "regex_max_offset" => url.regex_max_offset = item.unsigned(),
            // Tunes PCRE's compiler, which has no counterpart here.
            "regex_stack" => {}
            _ => {}
        }
    }

    /// keepalived reads this word with backslash escapes in and outside quotes.
    fn escaped_word(&self, item: &Item<'t>) -> Option<String> {
        let raw = self.tree.node(item.id).map_or("", |node| self.sources.get(node.raw));
        argv(raw)?.get(1).cloned()
    }

    fn digest(&mut self, item: &Item<'t>) -> Option<[u8; 16]> {
        let word = item.word()?;
        let digits: Option<Vec<u32>> = word.chars().map(|c| c.to_digit(16)).collect();
        let Some(digits) = digits.filter(|d| d.len() == 32) else {
            let found = Diagnostic::error("invalid-digest", "an MD5 digest has 32 hexadecimal digits");
            self.report(found.at(item.argument_span()).help("the line is ignored"));
            return None;
        };
        let mut digest = [0; 16];
        for (slot, pair) in digest.iter_mut().zip(digits.chunks(2)) {
            *slot = pair.iter().fold(0, |value, digit| value * 16 + u8::try_from(*digit).unwrap_or(0));
        }
        Some(digest)
    }

    fn status_codes(&mut self, url: &mut HttpUrl, item: &Item<'t>) {
        for argument in &item.arguments() {
            let (low, high) = argument.text.split_once('-').unwrap_or((argument.text, argument.text));
            let range = low.parse::<u16>().ok().zip(high.parse::<u16>().ok());
            match range.filter(|(low, high)| low <= high && (100..=999).contains(low) && *high <= 999) {
                Some(range) => url.status_codes.push(range),
                None => {
                    let text = format!("`{}` is no status code", argument.text);
                    let found = Diagnostic::error("invalid-status", text).at(argument.span);
                    self.report(found.help("a number from 100 to 999, or a range such as 200-299; it is ignored"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{CheckerKind, HttpCheck};
    use crate::{MemoryLoader, Options, parse};
    use std::path::Path;

    fn check(body: &str) -> HttpCheck {
        let text = format!(
            "virtual_server 10.0.0.1 80 {{\n protocol TCP\n real_server 10.1.0.1 80 {{\n HTTP_GET {{\n{body}\n}}\n}}\n}}\n"
        );
        let loader = MemoryLoader::default().with("/k.conf", text);
        let parsed = parse(&loader, Path::new("/k.conf"), &Options::default());
        assert!(parsed.not_acted_on.is_empty(), "{:?}", parsed.not_acted_on);
        match &parsed.config.virtual_servers[0].real_servers[0].checkers[0].kind {
            CheckerKind::Http(check) => (**check).clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn patterns_and_their_companions() {
        let check = check(concat!(
            "fast_recovery\n",
            "url {\n path /\n regex \"state: \\\\d+ \\\"ok\\\"\"\n regex_no_match\n regex_options caseless dotall\n",
            " regex_min_offset 10\n regex_max_offset 20\n regex_stack 1024 2048\n}",
        ));
        assert!(check.fast_recovery);
        let url = &check.urls[0];
        assert_eq!(url.regex.as_deref(), Some("state: \\d+ \"ok\""));
        assert!(url.regex_no_match);
        assert_eq!(url.regex_options, ["caseless", "dotall"]);
        assert_eq!((url.regex_min_offset, url.regex_max_offset), (10, Some(20)));
    }
}
