//! `auth_hmac`.

use super::item::Argument;
use super::{Builder, Item};
use crate::diagnostic::Diagnostic;
use crate::model::{AuthHmac, HmacKey, HmacMode, HmacSecret};
use crate::span::Span;
use crate::table::{self, Range};
use std::time::Duration;

/// What the keywords said.
#[derive(Debug, Default)]
pub(super) struct HmacDraft {
    keys: Vec<HmacKey>,
    active_key: Option<u8>,
    time_window: Option<Duration>,
    monotonic: bool,
    mode: HmacMode,
    span: Span,
}

impl<'t> Builder<'t> {
    pub(super) fn auth_hmac(&mut self, item: &Item<'t>) -> HmacDraft {
        let mut draft = HmacDraft { span: item.span(), ..HmacDraft::default() };
        for child in self.children(item.id) {
            let Some(child) = self.item(child, &table::AUTH_HMAC) else { continue };
            match child.name() {
                "key" => self.hmac_key(&mut draft, &child),
                "active_key" => draft.active_key = child.byte().or(draft.active_key),
                "time_window" => draft.time_window = child.seconds().or(draft.time_window),
                "anti_replay" => self.anti_replay(&mut draft, &child),
                _ => self.hmac_mode(&mut draft, &child),
            }
        }
        draft
    }

    fn hmac_key(&mut self, draft: &mut HmacDraft, item: &Item<'t>) {
        let (Some(id), Some(word)) = (item.argument(0), item.argument(1)) else {
            let found = Diagnostic::error("missing-value", "`key` needs a number and a secret").at(item.span());
            return self.report(found.help("the key is ignored"));
        };
        let range = Range { min: 1, max: 255, strict: true, repair: None };
        let Some(id) = self.number("key", id, range, 1).and_then(|v| u8::try_from(v).ok()) else { return };
        let Some(secret) = secret(word.text) else {
            let text = format!("the secret of key {id} is not 32 to 64 octets");
            let found = Diagnostic::error("hmac-key", text).at(word.span);
            return self.report(found.help("write it out, or as `hex:` or `file:`; the key is ignored"));
        };
        if draft.keys.iter().any(|key| key.id == id) {
            let found = Diagnostic::error("hmac-key", format!("there is a key {id} already")).at(word.span);
            return self.report(found.help("this one is ignored"));
        }
        draft.keys.push(HmacKey { id, secret });
    }

    fn anti_replay(&mut self, draft: &mut HmacDraft, item: &Item<'t>) {
        match item.word() {
            Some("time") => draft.monotonic = false,
            Some("monotonic") => draft.monotonic = true,
            _ => self.unknown_choice(item.argument(0), "`time` and `monotonic` exist; the line is ignored"),
        }
    }

    fn hmac_mode(&mut self, draft: &mut HmacDraft, item: &Item<'t>) {
        match item.word() {
            Some("enforce") => draft.mode = HmacMode::Enforce,
            Some("permissive") => draft.mode = HmacMode::Permissive,
            Some("receive-only") => draft.mode = HmacMode::ReceiveOnly,
            _ => self.unknown_choice(
                item.argument(0),
                "`enforce`, `permissive` and `receive-only` exist; the line is ignored",
            ),
        }
    }

    fn unknown_choice(&mut self, argument: Option<Argument<'t>>, help: &str) {
        if let Some(argument) = argument {
            let text = format!("unknown word `{}`", argument.text);
            self.report(Diagnostic::error("unknown-option", text).at(argument.span).help(help));
        }
    }

    /// Adverts without the authentication that was asked for would be taken from anybody: that is refused.
    pub(super) fn settle_hmac(&mut self, name: &str, draft: HmacDraft, interval: Duration) -> Option<AuthHmac> {
        let active_key = draft.active_key.or(draft.keys.first().map(|key| key.id)).unwrap_or(0);
        if !draft.keys.iter().any(|key| key.id == active_key) {
            let text = format!("({name}) `auth_hmac` has no usable key to sign with");
            let found = Diagnostic::fatal("hmac-key", text).at(draft.span);
            self.report(found.help("give a `key`, and name it in `active_key`"));
            return None;
        }
        let three = Duration::from_secs((interval * 3).as_millis().div_ceil(1000).try_into().unwrap_or(300));
        Some(AuthHmac {
            keys: draft.keys,
            active_key,
            time_window: draft.time_window.unwrap_or(three.max(Duration::from_secs(5))),
            monotonic: draft.monotonic,
            mode: draft.mode,
        })
    }
}

/// A secret written out, as `hex:` or `file:`; `None` unless it has 32 to 64 octets.
pub(super) fn secret(text: &str) -> Option<HmacSecret> {
    match text.strip_prefix("file:") {
        Some(path) => (!path.is_empty()).then(|| HmacSecret::File(path.to_owned())),
        None => AuthHmac::octets(text.as_bytes()).map(HmacSecret::Octets),
    }
}

impl AuthHmac {
    /// The octets of a written key, plain or with `hex:` before it; `None` unless they are 32 to 64.
    #[must_use]
    pub fn octets(text: &[u8]) -> Option<Vec<u8>> {
        let octets = match text.strip_prefix(b"hex:") {
            Some(digits) if digits.len() % 2 == 0 => digits.chunks(2).map(octet).collect::<Option<Vec<u8>>>()?,
            Some(_) => return None,
            None => text.to_vec(),
        };
        (32..=64).contains(&octets.len()).then_some(octets)
    }
}

fn octet(pair: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}
