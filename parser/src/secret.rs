//! Passwords and keys in lines of a configuration, so that what is shown to others does not show them.

use std::ops::Range;

/// What stands in the place of a secret.
pub const HIDDEN: &str = "(not shown)";

/// Headers of HTTP checks whose value lets somebody in.
const HEADERS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// The line with its secret replaced by [`HIDDEN`]; `None` where it has none.
///
/// Secrets are what follows `auth_pass`, `password`, `basic_auth`, the number of a `key` (`auth_hmac`), and a `header` that
/// lets somebody in.
#[must_use]
pub fn hide(line: &str) -> Option<String> {
    let secret = secret(line)?;
    Some(format!("{}{HIDDEN}", line.get(..secret.start)?))
}

/// The line with a star in the place of every character of its secret, so that places in it stay where they are.
#[must_use]
pub(crate) fn veil(line: &str) -> String {
    match secret(line) {
        Some(secret) => cover(line, secret),
        None => line.to_owned(),
    }
}

/// A star for every byte of this part that is no blank.
pub(crate) fn cover(line: &str, part: Range<usize>) -> String {
    let star = |(at, byte): (usize, u8)| match byte {
        b' ' | b'\t' => byte,
        _ if part.contains(&at) => b'*',
        _ => byte,
    };
    let bytes = line.bytes().enumerate().map(star).collect();
    // Only a part that cuts a character leaves bytes that are no text; then nothing is shown.
    String::from_utf8(bytes).unwrap_or_else(|_| "*".repeat(line.len()))
}

/// From the first letter of the secret to the end of the line.
fn secret(line: &str) -> Option<Range<usize>> {
    let words: Vec<(usize, &str)> = words(line).collect();
    let place =
        words.iter().enumerate().find_map(|(nth, (_, word))| Some(nth + behind(word, words.get(nth + 1..)?)?))?;
    let (start, _) = words.get(place)?;
    Some(*start..line.len())
}

/// How many words behind this one the secret begins.
fn behind(word: &str, following: &[(usize, &str)]) -> Option<usize> {
    let next = following.first().map(|(_, word)| word.trim_matches(['"', '\'']));
    match word {
        "auth_pass" | "password" | "basic_auth" => Some(1),
        "key" if next?.parse::<u32>().is_ok() => Some(2),
        "header" if HEADERS.iter().any(|name| next.is_some_and(|next| next.to_ascii_lowercase().starts_with(name))) => {
            Some(2)
        }
        _ => None,
    }
}

/// Words between blanks, each with its place.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let place = |word: &str| word.as_ptr() as usize - line.as_ptr() as usize;
    line.split([' ', '\t']).filter(|word| !word.is_empty()).map(move |word| (place(word), word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_their_keyword_stands() {
        for (line, shown) in [
            ("    auth_pass sesame", "    auth_pass (not shown)"),
            ("authentication { auth_pass a b }", "authentication { auth_pass (not shown)"),
            ("\tpassword \"open it\" # mine", "\tpassword (not shown)"),
            ("basic_auth alice wonder", "basic_auth (not shown)"),
            ("key 1 hex:00ff", "key 1 (not shown)"),
            ("header Authorization \"Bearer x\"", "header Authorization (not shown)"),
        ] {
            assert_eq!(hide(line).as_deref(), Some(shown), "{line}");
        }
        for line in ["priority 100", "key /etc/ssl/key.pem", "auth_type PASS", "header Host a.example", "", "auth_pass"]
        {
            assert_eq!(hide(line), None, "{line}");
        }
    }

    #[test]
    fn a_veil_keeps_every_place() {
        assert_eq!(veil("  auth_pass  s\u{e9}same x"), "  auth_pass  ******* *");
        assert_eq!(veil("priority 100"), "priority 100");
        assert_eq!(cover("$P=sesame", 3..9), "$P=******");
    }
}
