//! Passwords and keys in lines of a configuration, so that what is shown to others does not show them.

use std::ops::Range;

/// What stands in the place of a secret.
pub const HIDDEN: &str = "(not shown)";

/// Headers of HTTP checks whose value lets somebody in.
const HEADERS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// The line with its secret replaced by [`HIDDEN`]; `None` where it has none.
///
/// Secrets are what follows `auth_pass`, `password`, `lvs_sync_key`, `basic_auth`, the number of a `key` (`auth_hmac`), and a `header` that lets
/// somebody in.
#[must_use]
pub fn hide(line: &str) -> Option<String> {
    let secret = secret(line, |word| matches!(word, "auth_pass" | "password" | "lvs_sync_key"))?;
    Some(format!("{}{HIDDEN}", line.get(..secret.start)?))
}

/// The line with a star in the place of every character of its secret, so that places in it stay where they are. It is a line
/// as people write it: mistyped keywords count, and definitions whose name tells what they hold.
#[must_use]
pub(crate) fn veil(line: &str) -> String {
    match secret(line, is_telling) {
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
fn secret(line: &str, tells: fn(&str) -> bool) -> Option<Range<usize>> {
    let words: Vec<(usize, &str)> = words(line).collect();
    let starts = words.iter().enumerate().find_map(|(nth, (at, word))| {
        let defined = word.strip_prefix('$').and_then(|rest| rest.split_once('=')).filter(|(name, _)| tells(name));
        let own = defined.map(|(name, _)| at + name.len() + 2).filter(|start| *start < line.len());
        own.or_else(|| words.get(nth + behind(word, words.get(nth + 1..)?, tells)?).map(|(start, _)| *start))
    });
    Some(starts?..line.len())
}

/// How many words behind this one the secret begins.
fn behind(word: &str, following: &[(usize, &str)], tells: fn(&str) -> bool) -> Option<usize> {
    let next = following.first().map(|(_, word)| word.trim_matches(['"', '\'']));
    match word {
        "basic_auth" => Some(1),
        "key" => Some(2),
        "header" if HEADERS.iter().any(|name| next.is_some_and(|next| next.to_ascii_lowercase().starts_with(name))) => {
            Some(2)
        }
        word => tells(word).then_some(1),
    }
}

/// Names of passwords, also mistyped ones and those that people give to definitions.
fn is_telling(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let plain = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    let tells =
        word.starts_with("auth_p") || word == "lvs_sync_key" || word.contains("pass") || word.contains("secret");
    plain(&word) && tells && !word.starts_with("passiv")
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
            ("lvs_sync_key hex:00ff", "lvs_sync_key (not shown)"),
            ("header Authorization \"Bearer x\"", "header Authorization (not shown)"),
        ] {
            assert_eq!(hide(line).as_deref(), Some(shown), "{line}");
        }
        for line in [
            "priority 100",
            "key /etc/ssl/key.pem",
            "auth_type PASS",
            "header Host a.example",
            "",
            "auth_pass",
            "vrrp_script chk_pass {",
        ] {
            assert_eq!(hide(line), None, "{line}");
        }
    }

    #[test]
    fn a_veil_keeps_every_place() {
        assert_eq!(veil("  auth_pass  s\u{e9}same x"), "  auth_pass  ******* *");
        for plain in ["priority 100", "$X=1", "passive", "script /bin/pass x"] {
            assert_eq!(veil(plain), plain);
        }
        assert_eq!(veil("auth_pas sesame"), "auth_pas ******");
        assert_eq!(veil("$VRRP_PASSWORD=sesame"), "$VRRP_PASSWORD=******");
        assert_eq!(cover("$P=sesame", 3..9), "$P=******");
    }
}
