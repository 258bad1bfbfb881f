//! standfast-ipvsadm(8), from the text of `ipvsadm -h`.

use crate::page::{Page, sentence};
use standfast::ipvsadm::USAGE;

pub fn page() -> String {
    let mut page = Page::new("standfast-ipvsadm", "8", "ipvsadm's language, spoken with a running standfast");
    let mut parts = USAGE.split("\n\n");
    page.heading("SYNOPSIS");
    page.lines(&parts.next().unwrap_or_default().lines().skip(1).map(str::trim).collect::<Vec<_>>().join("\n"));
    page.heading("DESCRIPTION");
    page.prose(DESCRIPTION);
    page.prose(BY_HAND);
    for part in parts {
        section(&mut page, part);
    }
    page.heading("EXIT STATUS");
    page.prose(
        "Those of ipvsadm(8): 0; 255 for what the table refuses; 1 and 2 for command lines that are not understood.",
    );
    page.heading("ENVIRONMENT");
    page.item("*STANDFAST_SOCKET*", "The control socket of the daemon, in place of _/run/keepalived.sock_.");
    page.see_also(&[("standfast", "8"), ("standfast-client", "1"), ("ipvsadm", "8")]);
    page.finish()
}

/// A line that ends in a colon, then an item a line: the words up to two blanks, and what they do.
fn section(page: &mut Page, part: &str) {
    let mut lines = part.lines();
    page.heading(&lines.next().unwrap_or_default().trim_end_matches(':').to_uppercase());
    for line in lines.map(str::trim) {
        let (term, text) = line.split_once("  ").unwrap_or((line, ""));
        page.item(&bold(term), &sentence(text.trim()));
    }
}

/// Options in bold.
fn bold(words: &str) -> String {
    let word = |word: &str| match word.strip_suffix(',') {
        Some(option) if option.starts_with('-') => format!("*{option}*,"),
        None if word.starts_with('-') => format!("*{word}*"),
        _ => word.to_owned(),
    };
    words.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

const DESCRIPTION: &str = "*standfast ipvsadm*, and a link of the name *ipvsadm*, *ipvsadm-save* or *ipvsadm-restore* to *standfast*, take the \
command line of ipvsadm(8) and speak with the engine of the daemon that runs, in place of the kernel's table. Output, messages and exit codes are those of \
ipvsadm 1.31.";

const BY_HAND: &str = "What is made by hand lives as long as the daemon. A reload of its configuration leaves it alone, unless the file says something else \
of the same service or server.";
