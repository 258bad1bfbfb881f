//! standfast-client(1), from the grammar of the clients' command lines.

use crate::page::{Page, sentence};
use clap::{Arg, Command};

pub fn page() -> String {
    let line = standfast::client::command_line();
    let mut page = Page::new("standfast-client", "1", "ask a running standfast, and tell it what to do");
    page.heading("SYNOPSIS");
    for command in line.get_subcommands() {
        page.prose(&synopsis(command));
    }
    page.heading("DESCRIPTION");
    page.prose(DESCRIPTION);
    page.heading("OPTIONS OF ALL COMMANDS");
    line.get_arguments().filter(|argument| is_ours(argument)).for_each(|argument| item(&mut page, argument));
    page.heading("COMMANDS");
    line.get_subcommands().for_each(|command| section(&mut page, command));
    page.heading("EXIT STATUS");
    STATUSES.iter().for_each(|(term, text)| page.item(term, text));
    page.heading("EXAMPLES");
    EXAMPLES.iter().for_each(|(term, text)| page.item(&format!("*{term}*"), text));
    page.see_also(&[("standfast", "8"), ("standfast.conf", "5"), ("standfast-ipvsadm", "8")]);
    page.finish()
}

/// What clap adds by itself is not listed.
fn is_ours(argument: &Arg) -> bool {
    !matches!(argument.get_id().as_str(), "help" | "version")
}

fn synopsis(command: &Command) -> String {
    let words = command.get_arguments().filter(|argument| is_ours(argument) && !argument.is_global_set()).map(short);
    let words: Vec<String> = words.collect();
    format!("*standfast {}* {}", command.get_name(), words.join(" ")).trim_end().to_owned()
}

fn short(argument: &Arg) -> String {
    let word = term(argument);
    if argument.is_required_set() { word } else { format!("[{word}]") }
}

/// Names and value of an argument.
fn term(argument: &Arg) -> String {
    let value =
        argument.get_value_names().unwrap_or_default().iter().map(|name| format!("_{name}_")).collect::<Vec<_>>();
    let value = value.join(" ");
    let letter = argument.get_short().map(|letter| format!("*-{letter}*"));
    let long = argument.get_long().map(|long| format!("*--{long}*"));
    let names: Vec<String> = letter.into_iter().chain(long).collect();
    let takes = argument.get_action().takes_values();
    match (names.is_empty(), takes) {
        (true, _) => value,
        (false, true) => format!("{} {value}", names.join(", ")),
        (false, false) => names.join(", "),
    }
}

fn item(page: &mut Page, argument: &Arg) {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let default: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default = if default.is_empty() || !argument.get_action().takes_values() {
        String::new()
    } else {
        format!(" Default: {}.", default.join(" "))
    };
    page.item(&term(argument), &format!("{}{default}", sentence(&help)));
}

fn section(page: &mut Page, command: &Command) {
    page.subheading(&format!("standfast {}", command.get_name()));
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    for paragraph in about.split("\n\n") {
        page.prose(&sentence(paragraph));
    }
    let own = command.get_arguments().filter(|argument| is_ours(argument) && !argument.is_global_set());
    own.for_each(|argument| item(page, argument));
}

const DESCRIPTION: &str = "A daemon listens at a Unix socket beside its pid file, mode 0600. These commands ask it there. What is ordered lives as long as the \
daemon, is written into its log and among its events, and survives a reload; a restart forgets it. The JSON is documented in _/usr/share/doc/standfast/control.md_.";

const STATUSES: &[(&str, &str)] = &[
    ("*0*", "The daemon answered, and did as it was told. From *plan*: a reload changes nothing."),
    ("*1*", "It refused, or is not there."),
    ("*2*", "The command line is not understood."),
    ("*3*", "From *plan*: a reload changes something, and nobody notices."),
    ("*4*", "From *plan*: a master would give up, an address leave this host, or connections be cut."),
];

const EXAMPLES: &[(&str, &str)] = &[
    ("standfast why VI_1", "Why an instance is in its state: each tracker's vote, the last change, the next timer."),
    ("standfast why 10.0.0.100:80 from 198.51.100.7", "Which server that client has, or gets next, and by which rule."),
    ("standfast drain 10.1.0.1:80 --deadline 5m", "No new connections; what is left after five minutes is given up."),
    ("standfast plan -f new.conf", "What a reload of that file would change, and cost."),
    ("standfast reload --refuse-destructive", "Reads the daemon's own file again, unless that would be noticed."),
];
