//! The effective configuration as text: every default spelled out, nothing that is only style.
//!
//! Parsing the text gives the same model, spans aside.

mod checkers;
mod globals;
mod interface;
mod process;
mod route;
mod services;
mod vrrp;
mod words;

use crate::model::{Config, Statement, VirtualServer, VrrpInstance};
use std::time::Duration;
use words::word;

/// Writes a configuration in keepalived's language.
#[must_use]
pub fn print(config: &Config) -> String {
    let mut printer = Printer::default();
    printer.config(config);
    printer.text
}

/// As [`print()`], with a comment in the place of every line that holds a password or a key: what is left cannot be run by mistake.
#[must_use]
pub fn print_for_others(config: &Config) -> String {
    let line = |line: &str| match crate::secret::hide(line) {
        Some(hidden) => format!("# {}\n", hidden.trim_start()),
        None => format!("{line}\n"),
    };
    print(config).lines().map(line).collect()
}

/// One instance, as [`print()`] writes it.
#[must_use]
pub fn print_instance(instance: &VrrpInstance) -> String {
    let mut printer = Printer::default();
    printer.instance(instance);
    printer.text
}

/// One virtual server, as [`print()`] writes it.
#[must_use]
pub fn print_virtual_server(server: &VirtualServer) -> String {
    let mut printer = Printer::default();
    printer.virtual_server(server);
    printer.text
}

#[derive(Default)]
struct Printer {
    text: String,
    depth: usize,
}

impl Printer {
    fn config(&mut self, config: &Config) {
        self.root_keywords(&config.globals);
        self.block("global_defs", |p| p.globals(&config.globals));
        config.kept.iter().for_each(|s| self.statement(s));
        if let Some(tls) = &config.client_tls {
            self.client_tls(tls);
        }
        self.statics(config);
        config.track_files.iter().for_each(|t| self.track_file(t));
        config.track_processes.iter().for_each(|t| self.track_process(t));
        config.bfd_instances.iter().for_each(|b| self.bfd_instance(b));
        config.scripts.iter().for_each(|s| self.vrrp_script(s));
        config.sync_groups.iter().for_each(|g| self.sync_group(g));
        config.instances.iter().for_each(|i| self.instance(i));
        config.virtual_server_groups.iter().for_each(|g| self.virtual_server_group(g));
        config.virtual_servers.iter().for_each(|v| self.virtual_server(v));
    }

    /// A line of words that need no quotes.
    fn line(&mut self, text: &str) {
        for _ in 0..self.depth {
            self.text.push_str("    ");
        }
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn value(&mut self, keyword: &str, value: impl std::fmt::Display) {
        self.line(&format!("{keyword} {value}"));
    }

    fn flag(&mut self, keyword: &str, on: bool) {
        if on {
            self.line(keyword);
        }
    }

    fn switch(&mut self, keyword: &str, on: bool) {
        self.value(keyword, if on { "on" } else { "off" });
    }

    fn optional_switch(&mut self, keyword: &str, on: Option<bool>) {
        if let Some(on) = on {
            self.switch(keyword, on);
        }
    }

    fn optional(&mut self, keyword: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.value(keyword, value);
        }
    }

    fn text(&mut self, keyword: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.value(keyword, word(text));
        }
    }

    fn seconds(&mut self, keyword: &str, value: Duration) {
        self.value(keyword, seconds(value));
    }

    fn words<'a>(&mut self, words: impl IntoIterator<Item = &'a str>) {
        let quoted: Vec<String> = words.into_iter().map(word).collect();
        self.line(&quoted.join(" "));
    }

    fn block(&mut self, head: &str, inside: impl FnOnce(&mut Self)) {
        self.line(&format!("{head} {{"));
        self.depth += 1;
        inside(self);
        self.depth -= 1;
        self.line("}");
    }

    /// A block of lines, left out when there is none.
    fn list(&mut self, head: &str, lines: &[String]) {
        if !lines.is_empty() {
            self.block(head, |p| lines.iter().for_each(|l| p.line(l)));
        }
    }

    fn statement(&mut self, statement: &Statement) {
        let quoted: Vec<String> = statement.words.iter().map(|w| word(w)).collect();
        let head = quoted.join(" ");
        match &statement.block {
            Some(block) => self.block(&head, |p| block.iter().for_each(|s| p.statement(s))),
            None => self.line(&head),
        }
    }
}

/// Seconds with as many decimals as needed.
fn seconds(value: Duration) -> String {
    let micros = value.subsec_micros();
    if micros == 0 {
        return value.as_secs().to_string();
    }
    format!("{}.{micros:06}", value.as_secs()).trim_end_matches('0').to_owned()
}
