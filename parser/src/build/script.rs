//! Commands, and `vrrp_script`.

use super::Builder;
use super::item::{Argument, Item, Value};
use super::named::Kind;
use crate::diagnostic::Diagnostic;
use crate::lexer::script::{argv, statement_words};
use crate::model::{Notify, Script, ScriptUser, VrrpScript};
use crate::table::{self, Keyword, Shape};
use crate::tree::{NodeId, Word};
use std::time::Duration;

impl<'t> Builder<'t> {
    pub(super) fn read_script(&mut self, id: NodeId, keyword: &Keyword, arguments: &[Word]) -> Value<'t> {
        let Some(first) = arguments.first().map(|word| self.argument(*word)) else {
            return Value::None;
        };
        let raw = self.tree.node(id).map_or("", |n| self.sources.get(n.raw));
        let words = statement_words(raw).unwrap_or_default();
        let Some(command) = words.get(1) else {
            return self.bad_command(first);
        };
        let Some(argv) = argv(command).filter(|a| a.first().is_some_and(|p| !p.is_empty())) else {
            if keyword.shape != Shape::Command && command.trim().is_empty() {
                let found = Diagnostic::trap("empty-script", format!("`{}` has an empty command", keyword.name));
                self.report(found.at(first.span).help("nothing is run"));
                return Value::Invalid;
            }
            return self.bad_command(first);
        };
        let user = self.script_user(keyword, &words, arguments);
        self.command_traps(&argv, first);
        Value::Script(Box::new(Script { text: written(&argv), argv, user, span: first.span }))
    }

    fn bad_command(&mut self, first: Argument<'t>) -> Value<'t> {
        let found = Diagnostic::error("invalid-script", "this command cannot be read");
        let help = "quotes must be closed, and the first word must name a program";
        self.report(found.at(first.span).help(help));
        Value::Invalid
    }

    /// Words after a command: user and group of a notification, nothing for other commands.
    fn script_user(&mut self, keyword: &Keyword, words: &[String], arguments: &[Word]) -> Option<ScriptUser> {
        if keyword.shape == Shape::Command {
            if words.len() > 2 {
                self.unquoted_arguments(keyword, arguments);
            }
            return None;
        }
        if words.len() > 4 {
            self.unquoted_arguments(keyword, arguments);
        }
        Some(ScriptUser { user: words.get(2)?.clone(), group: words.get(3).cloned() })
    }

    fn unquoted_arguments(&mut self, keyword: &Keyword, arguments: &[Word]) {
        let Some(lost) = arguments.get(if keyword.shape == Shape::Command { 1 } else { 3 }) else {
            return;
        };
        let text = format!("`{}` runs only its first word; this is lost", keyword.name);
        let found = Diagnostic::trap("unquoted-arguments", text).at(lost.span);
        self.report(found.help("put the command with its arguments in double quotes"));
    }

    fn command_traps(&mut self, argv: &[String], first: Argument<'t>) {
        let program = argv.first().map_or("", String::as_str);
        if !program.contains('/') {
            let text = format!("`{program}` is not a full path");
            let help = "it is searched in the PATH of the daemon";
            self.report(Diagnostic::trap("script-path", text).at(first.span).help(help));
        }
        let operator = argv.iter().find(|a| matches!(a.as_str(), "|" | "||" | "&&" | ";" | ">" | "<"));
        if let Some(operator) = operator {
            let text = format!("`{operator}` is passed to the program as an argument: no shell runs this command");
            let help = "write `/bin/sh -c '...'`, or put it in a script file";
            self.report(Diagnostic::trap("no-shell", text).at(first.span).help(help));
        }
    }

    pub(super) fn vrrp_script(&mut self, item: &Item<'t>) {
        let Some(name) = self.block_name(item) else {
            return;
        };
        let mut draft = Draft::default();
        for child in self.children(item.id) {
            if let Some(child) = self.item(child, &table::VRRP_SCRIPT) {
                self.script_keyword(&mut draft, &child, name);
            }
        }
        let Some(mut script) = draft.script else {
            let text = format!("vrrp_script `{name}` has no `script`; it is removed");
            return self.report(Diagnostic::error("no-script", text).at(item.argument_span()));
        };
        if let Some(first) = self.named.head(Kind::Script, name) {
            let text = format!("vrrp_script `{name}` exists already; the first one is used");
            let found = Diagnostic::trap("duplicate-script", text).at(item.argument_span());
            let found = found.related(first, "the first one");
            return self.report(found);
        }
        self.named.insert(Kind::Script, name, self.config.scripts.len(), item.argument_span());
        script.user = draft.user;
        self.config.scripts.push(VrrpScript {
            name: name.to_owned(),
            script,
            interval: draft.interval,
            timeout: draft.timeout.unwrap_or(draft.interval),
            weight: draft.weight.0,
            reverse: draft.weight.1,
            rise: draft.rise,
            fall: draft.fall,
            init_fail: draft.init_fail,
            span: item.argument_span(),
        });
    }

    fn script_keyword(&mut self, draft: &mut Draft, item: &Item<'t>, name: &str) {
        match item.name() {
            "script" => draft.script = item.script(),
            "interval" => draft.interval = self.positive(item).unwrap_or(draft.interval),
            "timeout" => draft.timeout = self.positive(item).or(draft.timeout),
            "weight" => draft.weight = self.script_weight(item, name),
            "rise" => draft.rise = item.unsigned().unwrap_or(1),
            "fall" => draft.fall = item.unsigned().unwrap_or(1),
            "user" => draft.user = user_of(item),
            "init_fail" => draft.init_fail = true,
            _ => {}
        }
    }

    /// Zero becomes one second.
    fn positive(&mut self, item: &Item<'t>) -> Option<Duration> {
        let value = item.seconds()?;
        if !value.is_zero() {
            return Some(value);
        }
        let text = format!("`{}` must be greater than 0", item.name());
        let found = Diagnostic::error("out-of-range", text).at(item.argument_span());
        self.report(found.help("1 second is used"));
        Some(Duration::from_secs(1))
    }

    /// An out-of-range weight is reported and used all the same.
    fn script_weight(&mut self, item: &Item<'t>, name: &str) -> (i32, bool) {
        let Some(first) = item.argument(0) else {
            return (0, false);
        };
        let value = crate::value::whole(first.text).filter(|n| n.rest.is_empty());
        let Some(value) = value.and_then(|n| i32::try_from(n.value).ok()) else {
            let text = format!("`{}` is not a weight", first.text);
            let found = Diagnostic::error("invalid-number", text).at(first.span);
            self.report(found.help("the weight stays 0: a failure is a fault"));
            return (0, false);
        };
        if !(-253..=253).contains(&value) {
            let text = format!("the weight of vrrp_script `{name}` must be from -253 to 253, not {value}");
            let found = Diagnostic::error("out-of-range", text).at(first.span);
            self.report(found.help("keepalived uses it nevertheless, and so do we"));
        }
        (value, self.reverse_option(item.argument(1)))
    }

    pub(super) fn reverse_option(&mut self, argument: Option<Argument<'t>>) -> bool {
        match argument {
            Some(a) if a.text == "reverse" => true,
            Some(a) if a.text != "noreverse" => {
                let text = format!("unknown option `{}` after a weight", a.text);
                self.report(Diagnostic::error("unknown-option", text).at(a.span).help("`reverse` is the only one"));
                false
            }
            _ => false,
        }
    }

    /// A notification keyword of an instance or a group. False when it is none.
    pub(super) fn notify_keyword(&mut self, notify: &mut Notify, item: &Item<'t>) -> bool {
        let slot = match item.name() {
            "notify_master" => &mut notify.master,
            "notify_backup" => &mut notify.backup,
            "notify_fault" => &mut notify.fault,
            "notify_stop" => &mut notify.stop,
            "notify_deleted" => &mut notify.deleted,
            "notify_master_rx_lower_pri" => &mut notify.master_rx_lower_pri,
            "notify" => &mut notify.any,
            _ => return false,
        };
        self.set_script(slot, item);
        true
    }

    /// The first script stays.
    pub(super) fn set_script(&mut self, slot: &mut Option<Script>, item: &Item<'t>) {
        let Some(script) = item.script() else {
            return;
        };
        if let Some(first) = slot {
            let text = format!("`{}` is given already; this one is ignored", item.name());
            let found = Diagnostic::error("duplicate-notify", text).at(item.span());
            return self.report(found.related(first.span, "the one that is used"));
        }
        *slot = Some(script);
    }

    /// The same for a model that keeps its scripts elsewhere, because few have one.
    pub(super) fn set_boxed_script(&mut self, slot: &mut Option<Box<Script>>, item: &Item<'t>) {
        let mut script = slot.take().map(|script| *script);
        self.set_script(&mut script, item);
        *slot = script.map(Box::new);
    }

    /// The one name after the keyword of a block.
    pub(super) fn block_name(&mut self, item: &Item<'t>) -> Option<&'t str> {
        if let [only] = item.arguments().as_slice() {
            return Some(only.text);
        }
        let text = format!("`{}` must have exactly one name; the block is skipped", item.name());
        self.report(Diagnostic::error("block-name", text).at(item.span()));
        None
    }
}

struct Draft {
    script: Option<Script>,
    interval: Duration,
    timeout: Option<Duration>,
    weight: (i32, bool),
    rise: u32,
    fall: u32,
    user: Option<ScriptUser>,
    init_fail: bool,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            script: None,
            interval: Duration::from_secs(1),
            timeout: None,
            weight: (0, false),
            rise: 1,
            fall: 1,
            user: None,
            init_fail: false,
        }
    }
}

/// `USER [GROUP]`.
pub(super) fn user_of(item: &Item<'_>) -> Option<ScriptUser> {
    Some(ScriptUser { user: item.argument(0)?.text.to_owned(), group: item.argument(1).map(|a| a.text.to_owned()) })
}

/// A command for log lines: words with blanks in quotes.
fn written(argv: &[String]) -> String {
    let quoted = |word: &String| {
        if word.is_empty() || word.contains(crate::lexer::is_blank) { format!("'{word}'") } else { word.clone() }
    };
    argv.iter().map(quoted).collect::<Vec<_>>().join(" ")
}
