//! Splits script commands as keepalived does (behaviour note 6).

/// Words of a statement where both kinds of quotes protect blanks and adjacent pieces join.
/// `None` when a quote is not closed.
pub(crate) fn statement_words(raw: &str) -> Option<Vec<String>> {
    Splitter::new(raw, Escapes::Quote).collect()
}

/// Program and arguments of a command: quotes and backslash escapes.
pub(crate) fn argv(command: &str) -> Option<Vec<String>> {
    Splitter::new(command, Escapes::All).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    /// `\"` inside quotes does not close them and loses its backslash; every other backslash is an ordinary character.
    Quote,
    /// C's letters, octal, `\xHH` and `\cX`; any other escaped character is itself.
    All,
}

struct Splitter<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    escapes: Escapes,
    word: Option<String>,
    words: Vec<String>,
}

impl<'a> Splitter<'a> {
    fn new(text: &'a str, escapes: Escapes) -> Self {
        Self { rest: text.chars().peekable(), escapes, word: None, words: Vec::new() }
    }

    fn collect(mut self) -> Option<Vec<String>> {
        while let Some(c) = self.rest.next() {
            match c {
                '"' | '\'' => self.quoted(c)?,
                '\\' if self.escapes == Escapes::All => self.escape(),
                c if super::is_blank(c) => self.end_word(),
                c => self.put(c),
            }
        }
        self.end_word();
        Some(self.words)
    }

    fn quoted(&mut self, quote: char) -> Option<()> {
        self.word.get_or_insert_default();
        loop {
            match self.rest.next()? {
                c if c == quote => return Some(()),
                '\\' if self.escapes == Escapes::All => self.escape(),
                '\\' if self.rest.peek() == Some(&quote) => {
                    self.rest.next();
                    self.put(quote);
                }
                c => self.put(c),
            }
        }
    }

    fn escape(&mut self) {
        let Some(c) = self.rest.next() else {
            return self.put('\\');
        };
        let plain = match c {
            'a' => '\x07',
            'b' => '\x08',
            'E' => '\x1b',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'x' => self.digits(16, 2, 0),
            'c' => self.rest.next().map_or('c', control),
            '0'..='7' => self.digits(8, 2, c.to_digit(8).unwrap_or(0)),
            other => other,
        };
        self.put(plain);
    }

    /// Up to `most` more digits.
    fn digits(&mut self, radix: u32, most: usize, first: u32) -> char {
        let mut value = first;
        for _ in 0..most {
            let Some(digit) = self.rest.peek().and_then(|c| c.to_digit(radix)) else {
                break;
            };
            value = value * radix + digit;
            self.rest.next();
        }
        char::from(u8::try_from(value & 0xff).unwrap_or(b'?'))
    }

    fn put(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }
}

fn control(c: char) -> char {
    u8::try_from(c).map_or(c, |b| char::from(b & 0x1f))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(raw: &str) -> Vec<String> {
        let words = statement_words(raw).expect("closed quotes");
        argv(&words[1]).expect("closed quotes")
    }

    #[test]
    fn both_forms_of_nested_quotes_agree() {
        let wanted = ["/bin/sh", "-c", "a b"];
        assert_eq!(run(r#"script "/bin/sh -c \"a b\"""#), wanted);
        assert_eq!(run(r#"script "/bin/sh -c 'a b'""#), wanted);
    }

    #[test]
    fn only_the_first_word_is_the_command() {
        assert_eq!(run("script /bin/echo one two"), ["/bin/echo"]);
        assert_eq!(run("script '/bin/true x'"), ["/bin/true", "x"]);
    }

    #[test]
    fn escapes_are_those_of_c() {
        assert_eq!(argv(r"a\tb \x41\101 \cA \ x").expect("closed"), ["a\tb", "AA", "\x01", " x"]);
        assert_eq!(argv(r"end\").expect("closed"), [r"end\"]);
    }

    #[test]
    fn an_open_quote_is_refused() {
        assert_eq!(statement_words("script \"/bin/true"), None);
        assert_eq!(argv("a 'b"), None);
    }
}
