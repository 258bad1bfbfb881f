//! Finds the comment of a line (behaviour note 4).

use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_till1};
use nom::character::complete::{char, one_of};
use nom::combinator::{opt, recognize};
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};
use nom_locate::LocatedSpan;

type Input<'a> = LocatedSpan<&'a str>;

/// What is left of a line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Code {
    /// Bytes before the comment.
    pub(crate) len: usize,
    /// Offsets of backslashes before `#` and `!`, which vanish.
    pub(crate) escapes: Vec<usize>,
    /// The comment begins within a word: between two characters that are no blanks.
    pub(crate) cuts_word: bool,
}

enum Part {
    Text,
    Escape,
}

/// Finds where the comment of a line begins. `"` protects `#` and `!`; `'` does not.
pub(crate) fn strip(line: &str) -> Code {
    if !line.bytes().any(|b| matches!(b, b'"' | b'\\' | b'#' | b'!')) {
        return Code { len: line.len(), ..Code::default() };
    }
    let mut rest = Input::new(line);
    let mut escapes = Vec::new();
    while let Ok((next, (at, part))) = part(rest) {
        if let Part::Escape = part {
            escapes.push(at);
        }
        rest = next;
    }
    let len = rest.location_offset();
    Code { len, escapes, cuts_word: cuts_word(line, len) }
}

fn part(input: Input<'_>) -> IResult<Input<'_>, (usize, Part)> {
    let at = input.location_offset();
    let (rest, part) = alt((
        take_till1(|c| matches!(c, '"' | '\\' | '#' | '!')).map(|_| Part::Text),
        quoted.map(|_| Part::Text),
        preceded(char('\\'), one_of("#!")).map(|_| Part::Escape),
        tag("\\").map(|_| Part::Text),
    ))
    .parse(input)?;
    Ok((rest, (at, part)))
}

/// A quoted piece, or everything after a quote that is never closed.
fn quoted(input: Input<'_>) -> IResult<Input<'_>, Input<'_>> {
    recognize(delimited(char('"'), take_till(|c| c == '"'), opt(char('"')))).parse(input)
}

fn cuts_word(line: &str, at: usize) -> bool {
    let part_of_word = |c: char| !super::is_blank(c) && !matches!(c, '{' | '}' | '"' | '#' | '!');
    let before = line.get(..at).and_then(|s| s.chars().next_back());
    let after = line.get(at..).and_then(|s| s.chars().nth(1));
    before.is_some_and(part_of_word) && after.is_some_and(part_of_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(line: &str) -> &str {
        &line[..strip(line).len]
    }

    #[test]
    fn comments_begin_anywhere_but_in_double_quotes() {
        assert_eq!(code("state MASTER#c"), "state MASTER");
        assert_eq!(code("interface eth0!x"), "interface eth0");
        assert_eq!(code("notify \"a#b!c\" # d"), "notify \"a#b!c\" ");
        assert_eq!(code("x 'a#b'"), "x 'a");
        assert_eq!(code("# all"), "");
        assert_eq!(code("notify \"open # end"), "notify \"open # end");
    }

    #[test]
    fn escaped_marks_stay() {
        let line = r"a\#b\!c\d #e";
        let found = strip(line);
        assert_eq!(found.escapes, [1, 4]);
        assert_eq!(&line[..found.len], r"a\#b\!c\d ");
    }

    #[test]
    fn a_mark_between_two_letters_cuts_a_word() {
        assert!(strip("auth_pass ab!cd").cuts_word);
        assert!(!strip("auth_pass ab !cd").cuts_word);
        assert!(!strip("auth_pass ab# cd").cuts_word);
        assert!(!strip("x {#c").cuts_word);
        assert!(!strip("no comment").cuts_word);
    }
}
