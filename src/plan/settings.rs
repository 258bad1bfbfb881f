//! Differences of two texts of the effective configuration.

use super::model::SettingChange;
use standfast_parser::secret::hide;
use std::collections::BTreeMap;

/// A line with the blocks around it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Line<'a> {
    within: Vec<&'a str>,
    text: &'a str,
    /// It stands for a block.
    is_block: bool,
}

/// The lines that differ. Both texts are as the printer writes them: a line each, blocks end with a brace of their own.
pub(super) fn differences(before: &str, after: &str) -> Vec<SettingChange> {
    let (old, new) = (lines(before), lines(after));
    let (gone, come) = (beyond(&old, &new), beyond(&new, &old));
    let (gone, mut come) = (outermost(gone), outermost(come));
    let mut changes = Vec::new();
    for line in gone {
        let twin = come.iter().position(|other| is_edited(&line, other)).map(|index| come.remove(index));
        changes.push(change(Some(&line), twin.as_ref()));
    }
    changes.extend(come.iter().map(|line| change(None, Some(line))));
    changes
}

/// The lines within one block that differ, whatever it is called.
pub(super) fn differences_within(before: &str, after: &str) -> Vec<SettingChange> {
    let inside = |text: &'_ str| text.split_once('\n').map_or(0, |(head, _)| head.len() + 1);
    differences(before.get(inside(before)..).unwrap_or_default(), after.get(inside(after)..).unwrap_or_default())
}

fn change(before: Option<&Line<'_>>, after: Option<&Line<'_>>) -> SettingChange {
    let within = before.or(after).map(|line| line.within.join(" / ")).unwrap_or_default();
    SettingChange { within, before: before.map(shown), after: after.map(shown) }
}

/// Without its password.
fn shown(line: &Line<'_>) -> String {
    hide(line.text).unwrap_or_else(|| line.text.to_owned())
}

/// A line that ends in a brace opens a block: it is a line, and the lines in it are within it.
fn lines(text: &str) -> Vec<Line<'_>> {
    let (mut found, mut open): (Vec<Line<'_>>, Vec<&str>) = (Vec::new(), Vec::new());
    for line in text.lines().map(str::trim) {
        if line == "}" {
            open.pop();
            continue;
        }
        let head = line.strip_suffix(" {");
        found.push(Line { within: open.clone(), text: head.unwrap_or(line), is_block: head.is_some() });
        open.extend(head);
    }
    found
}

/// Those of the first that are not among the second, as often as they are missing there.
fn beyond<'a>(these: &[Line<'a>], others: &[Line<'a>]) -> Vec<Line<'a>> {
    let mut known: BTreeMap<&Line<'_>, usize> = BTreeMap::new();
    others.iter().for_each(|line| *known.entry(line).or_default() += 1);
    let mut is_known = |line: &Line<'a>| match known.get_mut(line) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    };
    these.iter().filter(|line| !is_known(line)).cloned().collect()
}

/// Where a whole block is among them, its lines are left out. A block's line comes before those in it.
fn outermost(lines: Vec<Line<'_>>) -> Vec<Line<'_>> {
    let mut kept: Vec<Line<'_>> = Vec::new();
    let mut block: Option<(Vec<&str>, usize)> = None;
    for line in lines {
        if block.as_ref().is_some_and(|(path, depth)| line.within.len() >= *depth && line.within.starts_with(path)) {
            continue;
        }
        let mut path = line.within.clone();
        path.push(line.text);
        block = Some((path, line.within.len() + 1));
        kept.push(line);
    }
    kept
}

/// Whether one line has become the other. A block that goes and one that comes are two things.
fn is_edited(old: &Line<'_>, new: &Line<'_>) -> bool {
    old.within == new.within && keyword(old) == keyword(new) && !old.is_block && !new.is_block
}

fn keyword<'a>(line: &Line<'a>) -> &'a str {
    line.text.split(' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &str, after: &str) -> Vec<(String, Option<String>, Option<String>)> {
        differences(before, after).into_iter().map(|one| (one.within, one.before, one.after)).collect()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn an_edited_line_is_one_difference_and_a_moved_one_is_none() {
        let before = "a {\n    priority 100\n    list {\n        x\n        y\n    }\n}\n";
        let after = "a {\n    list {\n        y\n        z\n    }\n    priority 150\n}\n";
        let within = |text: &str| text.to_owned();
        let expected = [
            (within("a"), some("priority 100"), some("priority 150")),
            (within("a / list"), some("x"), None),
            (within("a / list"), None, some("z")),
        ];
        assert_eq!(told(before, after), expected);
        assert_eq!(told(before, before), []);
    }

    #[test]
    fn another_name_of_a_block_is_no_difference_within_it() {
        let text = |name: &str, weight: u8| format!("vrrp_instance {name} {{\n    weight {weight}\n}}\n");
        assert_eq!(differences_within(&text("a", 1), &text("b", 1)), []);
        let found = differences_within(&text("a", 1), &text("b", 2));
        assert_eq!((found.len(), found[0].within.as_str(), found[0].after.as_deref()), (1, "", Some("weight 2")));
    }

    #[test]
    fn a_whole_block_stands_for_its_lines() {
        let after = "vrrp_script chk {\n    interval 1\n    deep {\n        w\n    }\n}\nother 1\n";
        assert_eq!(
            told("", after),
            [(String::new(), None, some("vrrp_script chk")), (String::new(), None, some("other 1"))]
        );
    }

    #[test]
    fn passwords_are_not_shown_and_another_one_is_noticed() {
        let text = |password: &str| format!("authentication {{\n    auth_type PASS\n    auth_pass {password}\n}}\n");
        let shown = some("auth_pass (not shown)");
        let expected = [("authentication".to_owned(), shown.clone(), shown)];
        assert_eq!(told(&text("sesame"), &text("joshua")), expected);
        let key = |key: &str| format!("auth_hmac {{\n    key 1 hex:{key}\n}}\n");
        let found = told(&key("aa"), &key("bb"));
        assert!(!format!("{found:?}").contains("hex"), "{found:?}");
    }
}
