//! standfast(8).

use crate::page::{Page, sentence};
use standfast::cli::{self, OptionValue};

pub fn page() -> String {
    let mut page = Page::new("standfast", "8", "virtual addresses, health checks and load balancing in one daemon");
    page.heading("SYNOPSIS");
    page.prose("*standfast* [_OPTION_]...");
    page.prose("*standfast* _COMMAND_ [_ARGUMENT_]...");
    page.heading("DESCRIPTION");
    page.prose(DESCRIPTION);
    page.prose(COMMANDS);
    page.heading("OPTIONS");
    page.prose("They are those of keepalived(8); what only Standfast has stands among them.");
    for row in cli::options() {
        let short = row.short.map(|letter| format!("*-{letter}*, ")).unwrap_or_default();
        let value = match row.value {
            OptionValue::None => String::new(),
            OptionValue::Required(name) => format!("=_{}_", name.replace('_', "-")),
            OptionValue::Attached(name) => format!("[=_{}_]", name.replace('_', "-")),
        };
        page.item(&format!("{short}*--{}*{value}", row.long), &sentence(&row.help.replace('\n', " ")));
    }
    commands(&mut page);
    for (heading, items) in
        [("SIGNALS", SIGNALS), ("EXIT STATUS", STATUSES), ("FILES", FILES), ("ENVIRONMENT", ENVIRONMENT)]
    {
        page.heading(heading);
        items.iter().for_each(|(term, text)| page.item(term, text));
    }
    page.see_also(&[
        ("standfast.conf", "5"),
        ("standfast-client", "1"),
        ("standfast-ipvsadm", "8"),
        ("keepalived.conf", "5"),
    ]);
    page.finish()
}

fn commands(page: &mut Page) {
    page.heading("COMMANDS");
    for command in standfast::client::command_line().get_subcommands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        page.item(&format!("*{}*", command.get_name()), &format!("{about}; see standfast-client(1)."));
    }
    page.item("*ipvsadm*", "Speaks ipvsadm's language with the running daemon; see standfast-ipvsadm(8).");
    page.item("*genhash*", "Computes the digest of a web page for *HTTP_GET*, with the options of genhash(1).");
}

const DESCRIPTION: &str = "*standfast* reads keepalived's configuration, keeps virtual addresses alive by VRRP, checks real servers, and \
forwards their traffic in an engine of its own, with the semantics of the kernel's IPVS. It runs in the background unless *-n* says otherwise. \
Only one program, keepalived or *standfast*, may hold the addresses of a host.";

const COMMANDS: &str = "With one of the words below *COMMANDS* in the place of options, it is a client of the daemon that runs. A program of the \
name *ipvsadm*, *ipvsadm-save*, *ipvsadm-restore* or *genhash* that is a link to it does as that program does.";

const SIGNALS: &[(&str, &str)] = &[
    (
        "*SIGHUP*",
        "Reads the configuration again and applies what differs. A file that a start would refuse changes nothing; the log says why. Opens the log file anew.",
    ),
    ("*SIGTERM*, *SIGINT*", "Resigns with priority 0, removes its addresses, routes, rules and services, and ends."),
    (
        "*SIGUSR1*",
        "Writes the state into _keepalived.data_, _keepalived_parent.data_, _keepalived_check.data_ and _keepalived_bfd.data_ in _/tmp_, mode 0600.",
    ),
    ("*SIGUSR2*", "Writes the counters of VRRP into _/tmp/keepalived.stats_."),
    ("*SIGRTMIN+2*", "Writes the state of VRRP as JSON into _/tmp/keepalived.json_."),
    ("*SIGRTMAX-1*", "As *SIGUSR2*, and the counters begin at zero again."),
];

const STATUSES: &[(&str, &str)] = &[
    ("*0*", "All is well; or another daemon runs already."),
    ("*1*", "The command line is not understood, or the system refused something basic."),
    ("*2*", "The configuration cannot be run."),
    ("*4*", "A right is missing: *CAP_NET_ADMIN* or *CAP_NET_RAW*. From *--config-test*: an interface is missing."),
    ("*5*", "From *--config-test*: there is something to say about the file, which runs nevertheless."),
    ("*6*", "There is no configuration; or, from *--config-test*, root would run scripts that others may change."),
];

const FILES: &[(&str, &str)] = &[
    ("_/etc/keepalived/keepalived.conf_", "The configuration."),
    ("_/run/keepalived.pid_, _/run/vrrp.pid_, _/run/checkers.pid_", "Pid files, all of one process."),
    ("_/run/keepalived.sock_", "The control socket, mode 0600, beside the pid file of *-p*."),
    ("_/run/vrrp.addresses_", "The virtual addresses, so that a start after a crash removes them."),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    ("*STANDFAST_SOCKET*", "The control socket that clients use."),
    ("*TMPDIR*", "The directory of the files that signals have written, in place of _/tmp_."),
    ("*NO_COLOR*", "Keeps colours out of what *--config-test* says."),
];
