//! Remembers across a crash which addresses the daemon may have set.
//!
//! The file lists every configured virtual address, not only those that are set, so that nothing has to be written in the
//! moment of a failover. A clean stop removes it; a start that finds it knows what a killed predecessor may have left.

use super::address::AddressSpec;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Larger files are not ours.
const LIMIT: u64 = 1 << 20;

/// The file of remembered addresses; without a path nothing is remembered.
#[derive(Debug, Default)]
pub struct Memory {
    path: Option<PathBuf>,
}

impl Memory {
    /// Remembers in the file at `path`.
    #[must_use]
    pub fn new(path: Option<PathBuf>) -> Self {
        Self { path }
    }

    /// Addresses that a predecessor in the same network namespace may have left; none if there is no file.
    #[must_use]
    pub fn recall(&self) -> Vec<AddressSpec> {
        let Some(path) = &self.path else { return Vec::new() };
        match read(path) {
            Ok(text) => parse(&text, &namespace()),
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                tracing::warn!(target: "vrrp", "cannot read the remembered addresses in {}: {error}", path.display());
                Vec::new()
            }
        }
    }

    /// Replaces what is remembered.
    pub fn store(&self, addresses: &[AddressSpec]) {
        let Some(path) = &self.path else { return };
        if let Err(error) = write(path, &format(addresses, &namespace())) {
            tracing::warn!(target: "vrrp", "cannot remember the virtual addresses in {}: {error}", path.display());
        }
    }

    /// Removes the file: nothing was left behind.
    pub fn forget(&self) {
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(LIMIT).read_to_string(&mut text)?;
    Ok(text)
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)
}

/// Identity of the network namespace: the same interface name elsewhere is another interface.
fn namespace() -> String {
    std::fs::read_link("/proc/thread-self/ns/net").map(|link| link.display().to_string()).unwrap_or_default()
}

fn format(addresses: &[AddressSpec], namespace: &str) -> String {
    let mut text = format!("{namespace}\n");
    for spec in addresses {
        let _ = writeln!(text, "{} {} {}", spec.interface, spec.address, spec.kernel_prefix_len());
    }
    text
}

fn parse(text: &str, namespace: &str) -> Vec<AddressSpec> {
    let mut lines = text.lines();
    if lines.next() != Some(namespace) {
        return Vec::new();
    }
    lines.filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<AddressSpec> {
    let mut words = line.split(' ');
    let interface = words.next().filter(|name| !name.is_empty())?;
    let address: IpAddr = words.next()?.parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let prefix_len = words.next()?.parse().ok().filter(|length| *length <= longest)?;
    words.next().is_none().then(|| AddressSpec::new(interface, address, prefix_len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_recalled_until_forgotten() {
        let directory = tempfile::tempdir().expect("a directory");
        let memory = Memory::new(Some(directory.path().join("sub/addresses")));
        assert!(memory.recall().is_empty());
        let stored = vec![
            AddressSpec::new("eth0", "10.0.0.1".parse().expect("v4"), 24),
            AddressSpec::new("eth1", "fd00::1".parse().expect("v6"), 64),
        ];
        memory.store(&stored);
        assert_eq!(memory.recall(), stored);
        memory.forget();
        assert!(memory.recall().is_empty());
    }

    #[test]
    fn another_namespace_and_broken_lines_are_not_believed() {
        assert!(parse("net:[1]\neth0 10.0.0.1 24\n", "net:[2]").is_empty());
        for line in [
            "",
            "eth0",
            "eth0 10.0.0.1",
            "eth0 10.0.0.1 33",
            "eth0 nonsense 24",
            "eth0 10.0.0.1 24 more",
            " 10.0.0.1 24",
        ] {
            assert_eq!(parse_line(line), None, "{line:?}");
        }
    }
}
