//! Words and braces of a line without its comment (behaviour notes 5 and 7).

use nom::branch::alt;
use nom::bytes::complete::{take_till, take_till1, take_while1};
use nom::character::complete::char;
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};
use nom_locate::LocatedSpan;

type Input<'a> = LocatedSpan<&'a str>;

/// What a lexeme is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A bare word.
    Word,
    /// The inside of `"..."`.
    Quoted,
    /// What follows a quote that is never closed: keepalived drops it.
    Unclosed,
    /// `{`.
    Open,
    /// `}`.
    Close,
}

/// A lexeme and the bytes of it that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lexeme {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// All lexemes of a line, in linear time.
pub(crate) fn lexemes(line: &str) -> impl Iterator<Item = Lexeme> + '_ {
    let mut rest = Input::new(line);
    std::iter::from_fn(move || {
        if let Ok((next, _)) = blanks(rest) {
            rest = next;
        }
        let (next, lexeme) = lexeme(rest).ok()?;
        rest = next;
        Some(lexeme)
    })
}

fn blanks(input: Input<'_>) -> IResult<Input<'_>, Input<'_>> {
    take_while1(super::is_blank).parse(input)
}

fn lexeme(input: Input<'_>) -> IResult<Input<'_>, Lexeme> {
    alt((
        bare.map(|text| found(Kind::Word, text)),
        delimited(char('"'), take_till(|c| c == '"'), char('"')).map(|text| found(Kind::Quoted, text)),
        preceded(char('"'), nom::combinator::rest).map(|text| found(Kind::Unclosed, text)),
        nom::bytes::complete::tag("{").map(|text| found(Kind::Open, text)),
        nom::bytes::complete::tag("}").map(|text| found(Kind::Close, text)),
    ))
    .parse(input)
}

fn bare(input: Input<'_>) -> IResult<Input<'_>, Input<'_>> {
    take_till1(|c| super::is_blank(c) || matches!(c, '"' | '{' | '}')).parse(input)
}

fn found(kind: Kind, text: Input<'_>) -> Lexeme {
    let start = text.location_offset();
    Lexeme { kind, start, end: start + text.fragment().len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(line: &str) -> Vec<(Kind, &str)> {
        lexemes(line).map(|l| (l.kind, &line[l.start..l.end])).collect()
    }

    #[test]
    fn braces_need_no_blanks() {
        use Kind::{Close, Open, Word};
        assert_eq!(all("a{b}"), [(Word, "a"), (Open, "{"), (Word, "b"), (Close, "}")]);
        assert_eq!(all("TCP_CHECK {}"), [(Word, "TCP_CHECK"), (Open, "{"), (Close, "}")]);
    }

    #[test]
    fn a_quote_ends_the_word_before_it() {
        use Kind::{Quoted, Word};
        assert_eq!(all("priority 7\"7\""), [(Word, "priority"), (Word, "7"), (Quoted, "7")]);
        assert_eq!(all("\"a { b\"c"), [(Quoted, "a { b"), (Word, "c")]);
        assert_eq!(all("''"), [(Word, "''")]);
    }

    #[test]
    fn an_open_quote_takes_the_rest() {
        assert_eq!(all("notify \"/bin/true a {")[1], (Kind::Unclosed, "/bin/true a {"));
        assert_eq!(all("\"").len(), 1);
    }

    #[test]
    fn only_c_blanks_separate() {
        assert_eq!(all("a\x0bb\x0cc\td").len(), 4);
        assert_eq!(all("a\u{a0}b").len(), 1);
    }
}
