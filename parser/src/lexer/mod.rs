//! The lexical layer: comments, words, quotes and braces of one line (behaviour notes 1 to 8).

pub(crate) mod comment;
pub(crate) mod script;
pub(crate) mod words;

/// keepalived's white space: space, tab, form feed, vertical tab, and what ends a line.
pub(crate) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c' | '\x0b' | '\r' | '\n')
}

/// The name of a character that looks like a blank, or like nothing, but is part of a word.
pub(crate) fn name_of_invisible(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{feff}' => "byte order mark (U+FEFF)",
        '\u{a0}' => "no-break space (U+00A0)",
        '\u{3000}' => "ideographic space (U+3000)",
        '\u{200b}' => "zero width space (U+200B)",
        '\u{2003}' => "em space (U+2003)",
        '\u{202f}' => "narrow no-break space (U+202F)",
        '\u{2028}' => "line separator (U+2028)",
        '\u{85}' => "next line (U+0085)",
        _ if c.is_whitespace() && !is_blank(c) => "unusual white space",
        _ => return None,
    })
}
