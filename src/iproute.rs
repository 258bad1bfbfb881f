//! Names of routing tables, protocols and their like in the files of iproute2, and of IP protocols in `/etc/protocols`.

use standfast_parser::names::NameTable;
use std::fs;
use std::path::{Path, PathBuf};

/// Where iproute2 keeps its names: what the administrator wrote goes before what the distribution ships.
const DIRECTORIES: [&str; 3] = ["/etc/iproute2", "/usr/share/iproute2", "/usr/lib/iproute2"];

/// The number of a name. Files that cannot be read have no names.
#[must_use]
pub fn number(table: NameTable, name: &str) -> Option<u32> {
    if table == NameTable::IpProtocol {
        let text = fs::read_to_string("/etc/protocols").ok()?;
        return text.lines().find_map(|line| of_line(line, 1, name));
    }
    let file = file_name(table);
    let files = DIRECTORIES.iter().flat_map(|directory| files(Path::new(directory), file));
    files.filter_map(|path| fs::read_to_string(path).ok()).find_map(|text| {
        let found = text.lines().find_map(|line| of_line(line, 0, name));
        found.filter(|number| *number <= table.most())
    })
}

/// A file and the fragments beside it, such as `rt_tables` and `rt_tables.d/*.conf`.
fn files(directory: &Path, name: &str) -> Vec<PathBuf> {
    let fragments = fs::read_dir(directory.join(format!("{name}.d"))).into_iter().flatten();
    let mut files: Vec<_> = fragments.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    files.sort();
    files.insert(0, directory.join(name));
    files
}

fn file_name(table: NameTable) -> &'static str {
    match table {
        NameTable::Table => "rt_tables",
        NameTable::Protocol => "rt_protos",
        NameTable::Scope => "rt_scopes",
        NameTable::Realm => "rt_realms",
        NameTable::Dsfield => "rt_dsfield",
        NameTable::Group | NameTable::IpProtocol => "group",
    }
}

/// A line has the number and the name, the number being the first word (0) or the second.
fn of_line(line: &str, at: usize, name: &str) -> Option<u32> {
    let line = line.split('#').next()?;
    let words: Vec<&str> = line.split_whitespace().take(2).collect();
    let (number, known) = (words.get(at)?, words.get(1 - at)?);
    if *known != name {
        return None;
    }
    match number.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_a_number_and_a_name() {
        assert_eq!(of_line("254\tmain", 0, "main"), Some(254));
        assert_eq!(of_line("0x10 lowdelay # fast", 0, "lowdelay"), Some(16));
        assert_eq!(of_line("#1 inr.ruhep", 0, "inr.ruhep"), None);
        assert_eq!(of_line("tcp\t6\tTCP", 1, "tcp"), Some(6));
        assert_eq!(of_line("tcp", 1, "tcp"), None);
    }
}
