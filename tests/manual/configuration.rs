//! standfast.conf(5).

use crate::page::{Page, sentence};
use standfast_parser::table::{BLOCKS, Block, Effect, Keyword};

pub fn page() -> String {
    let mut page = Page::new("standfast.conf", "5", "the configuration of standfast, in keepalived's language");
    page.heading("DESCRIPTION");
    for text in [READS, FORM, CHECKS, MARKS] {
        page.prose(text);
    }
    page.heading("EXAMPLE");
    page.lines(include_str!("../../examples/dr-director1.conf"));
    page.heading("KEYWORDS BY BLOCK");
    for block in BLOCKS {
        section(&mut page, block);
    }
    page.heading("FILES");
    page.item("_/etc/keepalived/keepalived.conf_", "The configuration, unless *-f* names another file or pattern.");
    page.see_also(&[("standfast", "8"), ("standfast-client", "1"), ("keepalived.conf", "5")]);
    page.finish()
}

fn section(page: &mut Page, block: &Block) {
    let title = match block.path.trim_start_matches('/') {
        "" => "Top level",
        path => path,
    };
    page.subheading(title);
    for keyword in block.keywords() {
        let name = if keyword.name == "*" { "each line".to_owned() } else { format!("*{}*", keyword.name) };
        let arguments = if keyword.arguments == "-" { String::new() } else { format!(" {}", keyword.arguments) };
        page.item(&format!("{name}{arguments}"), &explained(keyword));
    }
}

fn explained(keyword: &Keyword) -> String {
    let mut text = sentence(keyword.meaning);
    if !matches!(keyword.default, "" | "-") {
        text.push_str(&format!(" Default: {}.", keyword.default));
    }
    if let Some(replacement) = keyword.replacement {
        let instead = if replacement.is_empty() { String::new() } else { format!("; use *{replacement}*") };
        text.push_str(&format!(" Deprecated{instead}."));
    }
    if keyword.ours {
        text.push_str(" [Standfast only]");
    } else if keyword.newer_than_2_2_7 {
        text.push_str(" [newer than 2.2.7]");
    }
    match keyword.effect {
        Effect::Acts => {}
        Effect::Accepted => text.push_str(" [accepted, without effect]"),
        Effect::Never(reason) => text.push_str(&format!(" [without effect: {reason}]")),
    }
    text.trim_start().to_owned()
}

const READS: &str = "*standfast* reads the configuration of keepalived 2.2.7 unchanged; keepalived.conf(5) explains it at length. This page lists \
every keyword that is understood, in the block where it stands, with its arguments, what it does and what holds without it.";

const FORM: &str = "A line is a keyword and its arguments; a block is a line that ends in *{*, the lines in it, and *}*. *!* and *#* begin a comment. \
*include* reads other files. *$NAME=*_value_ defines, *${NAME}* uses. A line that begins with *@*_ID_ counts where *-i* names that ID. Words with blanks \
stand in quotes.";

const CHECKS: &str = "*standfast -t* names every fault with line and column; *--print-config* prints what a file means with every default spelled \
out; *standfast plan* tells what a reload of it would change.";

const MARKS: &str = "Where a keyword is marked *[accepted, without effect]*, it is read so that files run unchanged. *[Standfast only]* marks what \
keepalived does not know, *[newer than 2.2.7]* what older ones do not.";
