//! Quotes where they are needed.

use crate::model::{HmacSecret, Script, ScriptUser};

/// A word of a statement, in double quotes when it would not survive without.
pub(super) fn word(text: &str) -> String {
    let odd = |c: char| crate::lexer::is_blank(c) || crate::lexer::name_of_invisible(c).is_some();
    let special = |c: char| matches!(c, '{' | '}' | '#' | '!' | '\\') || odd(c);
    let leading = text.starts_with(['@', '~', '$']) || text.starts_with("include");
    if text.is_empty() || leading || text.contains(special) { format!("\"{text}\"") } else { text.to_owned() }
}

/// A secret, as `hex:` or `file:`.
pub(super) fn secret(secret: &HmacSecret) -> String {
    match secret {
        HmacSecret::File(path) => word(&format!("file:{path}")),
        HmacSecret::Octets(octets) => {
            octets.iter().fold("hex:".to_owned(), |text, octet| text + &format!("{octet:02x}"))
        }
    }
}

/// A command with its user and group.
pub(super) fn script(script: &Script) -> String {
    let mut text = command(&script.argv);
    if let Some(user) = &script.user {
        text.push(' ');
        text.push_str(&user_words(user));
    }
    text
}

/// A command in double quotes: whatever could mean something is written as an octal escape.
pub(super) fn command(argv: &[String]) -> String {
    let words: Vec<String> = argv.iter().map(|w| escaped(w)).collect();
    format!("\"{}\"", words.join(" "))
}

/// One word in double quotes for keywords that read escapes.
pub(super) fn escaped_word(text: &str) -> String {
    if text.is_empty() { "\"\"".to_owned() } else { format!("\"{}\"", escaped(text)) }
}

fn escaped(argument: &str) -> String {
    if argument.is_empty() {
        return "''".to_owned();
    }
    let mut text = String::with_capacity(argument.len());
    for c in argument.chars() {
        let plain = !c.is_ascii() || c.is_ascii_alphanumeric() || "/-_.,:;=+%^&*()[]<>|?~@$#!`".contains(c);
        if plain {
            text.push(c);
        } else {
            text.push_str(&format!("\\{:03o}", u32::from(c)));
        }
    }
    text
}

/// `USER [GROUP]`.
pub(super) fn user_words(user: &ScriptUser) -> String {
    match &user.group {
        Some(group) => format!("{} {}", user_word(&user.user), user_word(group)),
        None => user_word(&user.user),
    }
}

/// After a command single quotes protect, too, and a backslash before the closing quote would keep it open.
fn user_word(text: &str) -> String {
    let needs_quotes = text.contains('\'') || word(&text.replace('\\', "")).starts_with('"');
    if needs_quotes { format!("\"{text}\"") } else { text.to_owned() }
}
