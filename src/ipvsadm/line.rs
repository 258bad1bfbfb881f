//! Lines of `ipvsadm -R`.

/// The words of a line: split at blanks, quotes keep blanks together, and the program's own name may come first.
pub fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let (word, after) = word(rest);
        words.push(word);
        rest = after.trim_ascii_start();
    }
    if words.first().is_some_and(|word| word == "ipvsadm") {
        words.remove(0);
    }
    words
}

fn word(text: &str) -> (String, &str) {
    let mut word = String::new();
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, c) if c.is_ascii_whitespace() => return (word, text.get(at..).unwrap_or_default()),
            _ => word.push(c),
        }
    }
    (word, "")
}
