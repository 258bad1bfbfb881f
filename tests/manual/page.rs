//! A man page, part by part.

use roff::{Inline, Roff, bold, italic, roman};

/// Text of a page. Within prose, `*word*` is bold and `_word_` is italic.
pub struct Page(Roff);

impl Page {
    /// Title, section, and what `apropos` shows.
    pub fn new(name: &str, section: &str, about: &str) -> Page {
        let mut roff = Roff::new();
        let version = concat!("Standfast ", env!("CARGO_PKG_VERSION"));
        roff.control("TH", [name.to_uppercase().as_str(), section, "", version, "Standfast"]);
        let mut page = Page(roff);
        page.heading("NAME");
        page.0.text([roman(format!("{name} - {about}"))]);
        page
    }

    pub fn heading(&mut self, text: &str) {
        self.0.control("SH", [text]);
    }

    pub fn subheading(&mut self, text: &str) {
        self.0.control("SS", [text]);
    }

    /// A paragraph.
    pub fn prose(&mut self, text: &str) {
        self.0.control("PP", []);
        self.0.text(inlines(text));
    }

    /// A term with what there is to say about it.
    pub fn item(&mut self, term: &str, text: &str) {
        self.0.control("TP", []);
        self.0.text(inlines(term));
        self.0.text(inlines(text));
    }

    /// Lines as they are.
    pub fn lines(&mut self, text: &str) {
        self.0.control("PP", []);
        self.0.control("RS", ["4"]);
        self.0.control("nf", []);
        for line in text.lines() {
            self.0.text([roman(line)]);
        }
        self.0.control("fi", []);
        self.0.control("RE", []);
    }

    /// Pages, files and addresses to go on with.
    pub fn see_also(&mut self, pages: &[(&str, &str)]) {
        self.heading("SEE ALSO");
        let last = pages.len().saturating_sub(1);
        let page = |(nth, (name, section)): (usize, &(&str, &str))| {
            let comma = if nth == last { "" } else { ", " };
            [bold(*name), roman(format!("({section}){comma}"))]
        };
        self.0.text(pages.iter().enumerate().flat_map(page).collect::<Vec<_>>());
        self.prose("The documents in _/usr/share/doc/standfast_.");
    }

    pub fn finish(self) -> String {
        self.0.to_roff()
    }
}

/// With a capital at its beginning and a stop at its end.
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let Some(first) = letters.next() else { return String::new() };
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{}{}{stop}", first.to_uppercase(), letters.as_str())
}

/// `*bold*` and `_italic_`, a mark at the beginning of a word and one at its end.
fn inlines(text: &str) -> Vec<Inline> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(['*', '_']) {
        let mark = if rest[start..].starts_with('*') { '*' } else { '_' };
        let begins = rest[..start].chars().next_back().is_none_or(|before| !before.is_alphanumeric() && before != '_');
        let Some(end) = closing(rest, start, mark).filter(|_| begins) else {
            found.push(roman(&rest[..=start]));
            rest = &rest[start + 1..];
            continue;
        };
        found.push(roman(&rest[..start]));
        let inside = &rest[start + 1..end];
        found.push(if mark == '*' { bold(inside) } else { italic(inside) });
        rest = &rest[end + 1..];
    }
    found.push(roman(rest));
    found
}

/// The next mark behind which no word goes on.
fn closing(text: &str, start: usize, mark: char) -> Option<usize> {
    let marks = text.match_indices(mark).map(|(at, _)| at).filter(|at| *at > start + 1);
    let ends = |at: &usize| text[at + 1..].chars().next().is_none_or(|next| !next.is_alphanumeric() && next != mark);
    marks.into_iter().find(ends)
}
