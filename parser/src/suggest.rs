//! "Did you mean".

/// Words longer than this are not compared.
const LENGTH_LIMIT: usize = 64;
/// Candidates that are looked at.
const CANDIDATE_LIMIT: usize = 1024;

/// The candidate nearest to `word`, when it is near enough to be a slip of the pen.
pub(crate) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if word.len() > LENGTH_LIMIT {
        return None;
    }
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    let scored = candidates
        .into_iter()
        .take(CANDIDATE_LIMIT)
        .filter(|c| c.len() <= LENGTH_LIMIT && *c != word && c.len().abs_diff(word.len()) <= 4)
        .map(|c| (distance(word, c), c));
    scored.filter(|(d, _)| *d <= allowed).min().map(|(_, c)| c)
}

/// Insertions, deletions, replacements and swaps of neighbours; case costs nothing.
fn distance(a: &str, b: &str) -> usize {
    let fold = |s: &str| s.chars().flat_map(char::to_lowercase).collect::<Vec<_>>();
    let (a, b) = (fold(a), fold(b));
    let mut rows = [Vec::new(), (0..=b.len()).collect::<Vec<_>>(), Vec::new()];
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let before = |r: &[usize], at: usize| r.get(at).copied().unwrap_or(usize::MAX - 1);
            let mut best = before(&rows[1], j) + usize::from(x != y);
            best = best.min(before(&rows[1], j + 1) + 1).min(before(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(before(&rows[0], j - 1) + 1);
            }
            row.push(best);
        }
        rows = [std::mem::take(&mut rows[1]), row, Vec::new()];
    }
    rows[1].last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let words = ["priority", "preempt", "interface", "state"];
        assert_eq!(nearest("prioritiy", words), Some("priority"));
        assert_eq!(nearest("Interface", words), Some("interface"));
        assert_eq!(nearest("stat", words), Some("state"));
        assert_eq!(nearest("sttae", words), Some("state"));
        assert_eq!(nearest("banana", words), None);
        assert_eq!(nearest("", words), None);
    }
}
