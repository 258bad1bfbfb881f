//! Shell patterns of `include`: `*`, `?`, `[...]` and csh braces.

/// Most alternatives that the braces of one pattern may give.
const BRACE_LIMIT: usize = 256;

/// Whether a pattern holds a character that makes it more than a path.
#[must_use]
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

/// Expands `{a,b}`: at most 256 alternatives, in order. Without braces the text itself.
#[must_use]
pub fn expand_braces(pattern: &str) -> Vec<String> {
    let mut waiting = vec![pattern.to_owned()];
    let mut done = Vec::new();
    while let Some(text) = waiting.pop() {
        match first_group(&text) {
            Some((head, choices, tail)) if done.len() + waiting.len() < BRACE_LIMIT => {
                let texts = choices.iter().rev().map(|choice| format!("{head}{choice}{tail}"));
                waiting.extend(texts.take(BRACE_LIMIT));
            }
            _ => done.push(text),
        }
    }
    done
}

fn first_group(text: &str) -> Option<(&str, Vec<&str>, &str)> {
    let open = text.find('{')?;
    let (mut depth, mut start, mut choices) = (0_usize, open + 1, Vec::new());
    for (at, byte) in text.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b',' if depth == 1 => {
                choices.push(text.get(start..at)?);
                start = at + 1;
            }
            b'}' if depth == 1 => {
                choices.push(text.get(start..at)?);
                return Some((text.get(..open)?, choices, text.get(at + 1..)?));
            }
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Whether a whole path matches a pattern, component by component.
#[must_use]
pub fn matches_path(pattern: &str, path: &str) -> bool {
    expand_braces(pattern).iter().any(|one| {
        let (wanted, given): (Vec<_>, Vec<_>) = (one.split('/').collect(), path.split('/').collect());
        wanted.len() == given.len() && wanted.iter().zip(&given).all(|(p, n)| matches_name(p, n))
    })
}

/// Whether a file name matches a pattern without braces. A leading dot is matched only by a dot.
#[must_use]
pub fn matches_name(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    matches_chars(&pattern, &name)
}

/// Two cursors and one point of return: quadratic at worst, never exponential.
fn matches_chars(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            retry = Some((p + 1, n));
            p += 1;
            continue;
        }
        match name.get(n).and_then(|c| matches_one(pattern.get(p..).unwrap_or(&[]), *c)) {
            Some(width) => {
                p += width;
                n += 1;
            }
            None => match retry {
                Some((back, at)) => {
                    retry = Some((back, at + 1));
                    (p, n) = (back, at + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

/// How many pattern characters the first element takes, if it matches `c`.
fn matches_one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '\\' => (pattern.get(1) == Some(&c)).then_some(2),
        '[' => match matches_class(pattern, c) {
            Some((true, width)) => Some(width),
            Some((false, _)) => None,
            None => (c == '[').then_some(1),
        },
        other => (*other == c).then_some(1),
    }
}

fn matches_class(pattern: &[char], c: char) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let first = if negated { 2 } else { 1 };
    let close = pattern.iter().skip(first + 1).position(|p| *p == ']')? + first + 1;
    let (mut at, mut found) = (first, false);
    while at < close {
        let (low, range) = (pattern.get(at)?, pattern.get(at + 1) == Some(&'-') && at + 2 < close);
        let high = if range { pattern.get(at + 2)? } else { low };
        found |= (*low..=*high).contains(&c);
        at += if range { 3 } else { 1 };
    }
    Some((found != negated, close + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_classes_and_braces() {
        assert!(matches_path("/etc/k/*.conf", "/etc/k/a.conf"));
        assert!(!matches_path("/etc/k/*.conf", "/etc/k/sub/a.conf"));
        assert!(matches_path("/etc/k/{a,b}.conf", "/etc/k/b.conf"));
        assert!(matches_path("/etc/k/[a-c]?.conf", "/etc/k/b7.conf"));
        assert!(!matches_path("/etc/k/[!a-c].conf", "/etc/k/b.conf"));
        assert!(!matches_name("*", ".hidden"));
    }

    #[test]
    fn a_hostile_pattern_ends() {
        assert!(!matches_name(&"*a".repeat(60), &"a".repeat(59)));
        assert!(expand_braces(&"{a,b}".repeat(40)).len() <= 2 * BRACE_LIMIT);
    }
}
