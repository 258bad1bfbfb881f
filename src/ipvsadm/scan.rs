//! Cuts a command line into options as popt(3) does: clusters of letters, values glued on or after `=`.

use super::option::{Argument, Meaning, Row, TABLE};

/// A piece of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// An option or a command.
    Option {
        /// What it stands for.
        meaning: Meaning,
        /// Its name: the long one.
        name: &'static str,
        /// As it was typed.
        typed: String,
        /// Its value.
        value: Option<String>,
    },
    /// A word that belongs to no option.
    Word(String),
}

/// A word that is no option of ipvsadm's, or an option without its value; the text to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadOption(pub(super) String);

/// Cuts word after word.
pub(super) struct Scanner<'a> {
    words: std::slice::Iter<'a, String>,
    /// Letters left of a cluster.
    cluster: &'a str,
    /// After `--`.
    only_words: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(words: &'a [String]) -> Scanner<'a> {
        Scanner { words: words.iter(), cluster: "", only_words: false }
    }

    /// The next piece.
    pub(super) fn next(&mut self) -> Option<Result<Piece, BadOption>> {
        if !self.cluster.is_empty() {
            return Some(self.letter());
        }
        let word = self.words.next()?;
        if self.only_words || word == "-" || !word.starts_with('-') {
            return Some(Ok(Piece::Word(word.clone())));
        }
        if word == "--" {
            self.only_words = true;
            return self.next();
        }
        Some(match word.strip_prefix("--") {
            Some(long) => self.long(word, long),
            None => {
                self.cluster = word.get(1..).unwrap_or_default();
                self.letter()
            }
        })
    }

    fn long(&mut self, word: &str, long: &'a str) -> Result<Piece, BadOption> {
        let (name, glued) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        let row = TABLE.iter().find(|row| row.long == name);
        let row = row.ok_or_else(|| BadOption(format!("{word}: unknown option")))?;
        self.option(row, format!("--{name}"), glued)
    }

    fn letter(&mut self) -> Result<Piece, BadOption> {
        let mut letters = self.cluster.chars();
        let letter = letters.next().unwrap_or('-');
        let rest = letters.as_str();
        let typed = format!("-{letter}");
        let row = TABLE.iter().find(|row| row.short == Some(letter));
        self.cluster = rest;
        let row = row.ok_or_else(|| BadOption(format!("{typed}: unknown option")))?;
        let glued =
            (row.argument != Argument::None && !rest.is_empty()).then_some(rest.strip_prefix('=').unwrap_or(rest));
        if glued.is_some() {
            self.cluster = "";
        }
        self.option(row, typed, glued)
    }

    fn option(&mut self, row: &Row, typed: String, glued: Option<&str>) -> Result<Piece, BadOption> {
        let value = match row.argument {
            Argument::None => None,
            Argument::Needed => {
                let next = || self.words.next().map(String::as_str);
                let value = glued.or_else(next).ok_or_else(|| BadOption(format!("{typed}: missing argument")))?;
                Some(value.to_owned())
            }
            Argument::Optional => glued.map(str::to_owned).or_else(|| self.optional()),
        };
        Ok(Piece::Option { meaning: row.meaning, name: row.long, typed, value })
    }

    /// The next word, if it does not look like an option.
    fn optional(&mut self) -> Option<String> {
        let next = self.words.as_slice().first().filter(|word| !word.starts_with('-'))?;
        self.words.next();
        Some(next.clone())
    }
}
