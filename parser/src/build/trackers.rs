//! What instances track besides scripts and interfaces: files, processes, BFD sessions.

use super::item::Argument;
use super::named::Kind;
use super::{Builder, Item};
use crate::diagnostic::Diagnostic;
use crate::model::{BfdInstance, ParamMatch, TrackFile, TrackProcess, TrackedWeight};
use crate::span::Span;
use crate::table::{self, Range};
use std::net::IpAddr;
use std::time::Duration;

impl<'t> Builder<'t> {
    pub(super) fn track_file(&mut self, item: &Item<'t>) {
        let Some(name) = self.block_name(item) else {
            return;
        };
        let mut file = TrackFile {
            name: name.to_owned(),
            file: String::new(),
            weight: 1,
            reverse: false,
            init_file: None,
            overwrite: false,
            span: item.argument_span(),
        };
        for child in self.children(item.id) {
            if let Some(child) = self.item(child, &table::TRACK_FILE) {
                self.track_file_keyword(&mut file, &child);
            }
        }
        let first = self.named.head(Kind::TrackFile, name);
        if !self.usable(item, name, (!file.file.is_empty()).then_some(()), "file", first) {
            return;
        }
        self.named.insert(Kind::TrackFile, name, self.config.track_files.len(), item.argument_span());
        self.config.track_files.push(file);
    }

    fn track_file_keyword(&mut self, file: &mut TrackFile, item: &Item<'t>) {
        match item.name() {
            "file" if !file.file.is_empty() => self.given_already(item),
            "file" => file.file = item.text_value().unwrap_or_default(),
            "weight" => {
                (file.weight, file.reverse) = self.tracker_weight(item, 254).unwrap_or((file.weight, file.reverse));
            }
            _ => {
                for argument in &item.arguments() {
                    match (argument.text, argument.text.parse::<i64>()) {
                        ("overwrite", _) => file.overwrite = true,
                        (_, Ok(value)) if i32::try_from(value).is_ok() => file.init_file = Some(value),
                        _ => self.unknown_word("init_file", *argument),
                    }
                }
                file.init_file.get_or_insert(0);
            }
        }
    }

    /// The first one counts.
    fn given_already(&mut self, item: &Item<'t>) {
        let found = Diagnostic::error("given-twice", format!("`{}` is given already", item.name())).at(item.span());
        self.report(found.help("the line is ignored"));
    }

    fn unknown_word(&mut self, keyword: &str, argument: Argument<'t>) {
        let text = format!("unknown option `{}` of `{keyword}`", argument.text);
        self.report(Diagnostic::error("unknown-option", text).at(argument.span).help("it is ignored"));
    }

    /// Reports a tracker that lacks what it needs, or whose name is taken.
    fn usable(&mut self, item: &Item<'t>, name: &str, needed: Option<()>, what: &str, first: Option<Span>) -> bool {
        let found = match (needed, first) {
            (None, _) => {
                let text = format!("{} `{name}` has no `{what}`; it is removed", item.name());
                Diagnostic::error("incomplete-tracker", text)
            }
            (Some(()), Some(first)) => {
                let text = format!("{} `{name}` exists already; the first one is used", item.name());
                Diagnostic::error("duplicate-tracker", text).related(first, "the first one")
            }
            (Some(()), None) => return true,
        };
        self.report(found.at(item.argument_span()));
        false
    }

    /// `N [reverse]`.
    fn tracker_weight(&mut self, item: &Item<'t>, most: i128) -> Option<(i32, bool)> {
        let range = Range { min: -most, max: most, strict: false, repair: None };
        let weight = self.number("weight", item.argument(0)?, range, 1)?;
        Some((i32::try_from(weight).ok()?, self.reverse_option(item.argument(1))))
    }

    pub(super) fn track_process(&mut self, item: &Item<'t>) {
        let Some(name) = self.block_name(item) else {
            return;
        };
        let mut process = TrackProcess {
            name: name.to_owned(),
            process: Vec::new(),
            param_match: ParamMatch::None,
            weight: 0,
            reverse: false,
            quorum: 1,
            quorum_max: None,
            fork_delay: Duration::ZERO,
            terminate_delay: Duration::ZERO,
            full_command: false,
            span: item.argument_span(),
        };
        for child in self.children(item.id) {
            if let Some(child) = self.item(child, &table::VRRP_TRACK_PROCESS) {
                self.track_process_keyword(&mut process, &child);
            }
        }
        let first = self.named.head(Kind::Process, name);
        if !self.usable(item, name, (!process.process.is_empty()).then_some(()), "process", first) {
            return;
        }
        self.named.insert(Kind::Process, name, self.config.track_processes.len(), item.argument_span());
        self.config.track_processes.push(process);
    }

    fn track_process_keyword(&mut self, process: &mut TrackProcess, item: &Item<'t>) {
        match item.name() {
            "process" if !process.process.is_empty() => self.given_already(item),
            "process" => process.process = item.arguments().iter().map(|a| a.text.to_owned()).collect(),
            "param_match" => self.param_match(process, item),
            "weight" => {
                (process.weight, process.reverse) =
                    self.tracker_weight(item, 254).unwrap_or((process.weight, process.reverse));
            }
            "quorum" => process.quorum = item.unsigned().unwrap_or(process.quorum),
            "quorum_max" => process.quorum_max = item.unsigned(),
            "delay" => {
                process.fork_delay = item.seconds().unwrap_or(process.fork_delay);
                process.terminate_delay = item.seconds().unwrap_or(process.terminate_delay);
            }
            "fork_delay" => process.fork_delay = item.seconds().unwrap_or(process.fork_delay),
            "terminate_delay" => process.terminate_delay = item.seconds().unwrap_or(process.terminate_delay),
            _ => process.full_command = true,
        }
    }

    fn param_match(&mut self, process: &mut TrackProcess, item: &Item<'t>) {
        process.param_match = match item.argument(0) {
            None => ParamMatch::Exact,
            Some(a) if a.text == "initial" => ParamMatch::Initial,
            Some(a) if a.text == "partial" => ParamMatch::Partial,
            Some(a) => return self.unknown_word("param_match", a),
        };
    }

    pub(super) fn bfd_instance(&mut self, item: &Item<'t>) {
        let Some(name) = self.block_name(item) else {
            return;
        };
        let mut draft = BfdDraft::default();
        for child in self.children(item.id) {
            if let Some(child) = self.item(child, &table::BFD_INSTANCE) {
                self.bfd_keyword(&mut draft, &child);
            }
        }
        let first = self.named.head(Kind::Bfd, name);
        let usable = self.usable(item, name, draft.neighbor.map(|_| ()), "neighbor_ip", first);
        let (Some(neighbor), true) = (draft.neighbor, usable) else {
            return;
        };
        self.named.insert(Kind::Bfd, name, self.config.bfd_instances.len(), item.argument_span());
        self.config.bfd_instances.push(draft.settle(name, neighbor, item.argument_span()));
    }

    fn bfd_keyword(&mut self, draft: &mut BfdDraft, item: &Item<'t>) {
        match item.name() {
            "neighbor_ip" | "neighbour_ip" => draft.neighbor = item.address().or(draft.neighbor),
            "source_ip" => draft.source = item.address().or(draft.source),
            "min_rx" => draft.min_rx = item.seconds().or(draft.min_rx),
            "min_tx" => draft.min_tx = item.seconds().or(draft.min_tx),
            "idle_tx" => draft.idle_tx = item.seconds().or(draft.idle_tx),
            "multiplier" => draft.multiplier = item.byte().or(draft.multiplier),
            "passive" => draft.passive = true,
            "ttl" | "hoplimit" => draft.ttl = item.byte().or(draft.ttl),
            "max_hops" => draft.max_hops = item.integer().and_then(|v| i16::try_from(v).ok()).or(draft.max_hops),
            "weight" => draft.weight = self.tracker_weight(item, 253).or(draft.weight),
            "vrrp" => draft.vrrp_only = true,
            "checker" => draft.checker_only = true,
            "multihop" => draft.multihop = item.switch(),
            _ => {}
        }
    }

    /// `track_file`, `track_process` or `track_bfd` of an instance or a group.
    pub(super) fn tracked(&mut self, list: &mut Vec<TrackedWeight>, item: &Item<'t>) {
        let (kind, what, most) = match item.name() {
            "track_file" => (Kind::TrackFile, "track_file", 254),
            "track_process" => (Kind::Process, "vrrp_track_process", 254),
            _ => (Kind::Bfd, "bfd_instance", 253),
        };
        for id in self.children(item.id) {
            let entry = self.entry(id);
            let Some((name, options)) = entry.split_first() else {
                continue;
            };
            let Ok(weight) = self.track_options(item.name(), options, most) else { continue };
            if !self.tracker_exists(kind, what, *name) || self.listed_twice(kind, what, *name) {
                continue;
            }
            list.push(TrackedWeight {
                name: name.text.to_owned(),
                weight: weight.map(|w| w.0),
                reverse: weight.and_then(|w| w.1),
            });
        }
    }

    fn tracker_exists(&mut self, kind: Kind, what: &str, name: Argument<'t>) -> bool {
        if self.named.index(kind, name.text).is_some() {
            return true;
        }
        let config = &self.config;
        let near = match kind {
            Kind::TrackFile => self.nearest_name(name.text, config.track_files.iter().map(|t| t.name.as_str())),
            Kind::Process => self.nearest_name(name.text, config.track_processes.iter().map(|t| t.name.as_str())),
            _ => self.nearest_name(name.text, config.bfd_instances.iter().map(|t| t.name.as_str())),
        };
        let text = format!("there is no {what} `{}` above this line", name.text);
        let help = "the line is ignored; it must stand before the block that tracks it";
        let found = Diagnostic::error("unknown-tracker", text).at(name.span).help(help);
        self.report(found.suggest(near));
        false
    }
}

#[derive(Default)]
struct BfdDraft {
    neighbor: Option<IpAddr>,
    source: Option<IpAddr>,
    min_rx: Option<Duration>,
    min_tx: Option<Duration>,
    idle_tx: Option<Duration>,
    multiplier: Option<u8>,
    passive: bool,
    ttl: Option<u8>,
    max_hops: Option<i16>,
    multihop: bool,
    weight: Option<(i32, bool)>,
    vrrp_only: bool,
    checker_only: bool,
}

impl BfdDraft {
    fn settle(self, name: &str, neighbor: IpAddr, span: Span) -> BfdInstance {
        let (weight, reverse) = self.weight.unwrap_or((0, false));
        let tick = Duration::from_millis(10);
        BfdInstance {
            name: name.to_owned(),
            neighbor,
            source: self.source,
            min_rx: self.min_rx.unwrap_or(tick),
            min_tx: self.min_tx.unwrap_or(tick),
            idle_tx: self.idle_tx.unwrap_or(Duration::from_secs(1)),
            multiplier: self.multiplier.unwrap_or(5),
            passive: self.passive,
            ttl: self.ttl.unwrap_or(if neighbor.is_ipv4() { 255 } else { 64 }),
            max_hops: self.max_hops.unwrap_or(0),
            multihop: self.multihop,
            weight,
            reverse,
            vrrp: self.vrrp_only || !self.checker_only,
            checker: self.checker_only || !self.vrrp_only,
            span,
        }
    }
}
