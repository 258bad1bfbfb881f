//! Steps with files of a host: `write H FILE TEXT`, `rm H FILE`, `exits H CODE` (makes `chk.sh` end so), `script H FILE ACTION`,
//! `mode H FILE OCTAL`, `directory H NAME`, `fifo H NAME`, `read H FIFO` (into FIFO.log), `show H FILE` (its lines, sorted), `lines H FILE` (in
//! order, by their second word: an instance or group), `dump H FILE` (each line by itself), `files H` (their kinds and modes).

use super::Stage;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;

impl Stage<'_> {
    pub(super) fn step_with_file(&mut self, verb: &str, host: &str, rest: &str) {
        let (file, more) = rest.split_once(' ').unwrap_or((rest, ""));
        let path = self.file(host, file);
        match verb {
            "exits" => self.exits(host, rest),
            "write" => std::fs::write(path, format!("{more}\n")).unwrap(),
            "rm" => std::fs::remove_file(path).unwrap(),
            "script" => write_script(&path, &more.replace("DIR", &self.directory(host).display().to_string())),
            "mode" => set_mode(&path, u32::from_str_radix(more, 8).unwrap()),
            "directory" => std::fs::create_dir(path).unwrap(),
            "fifo" => nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap(),
            "read" => self.read_fifo(host, rest),
            "show" | "lines" => self.note_file(host, rest, verb == "show"),
            "dump" => self.note_lines(host, rest),
            "files" => self.note_files(host),
            _ => panic!("no such step: {verb} {host} {rest}"),
        }
    }

    pub(super) fn exits(&self, host: &str, code: &str) {
        let action = if code.starts_with(char::is_numeric) { format!("exit {code}") } else { code.to_owned() };
        write_script(&self.file(host, "chk.sh"), &action);
    }

    /// `tell.sh` notes its arguments in `told`.
    pub(super) fn tells(&self, host: &str) {
        let told = self.file(host, "told");
        write_script(&self.file(host, "tell.sh"), &format!("echo \"$*\" >> {}", told.display()));
    }

    fn note_file(&mut self, host: &str, name: &str, sorted: bool) {
        let text = std::fs::read_to_string(self.file(host, name)).unwrap_or_default();
        let mut lines: Vec<&str> = text.lines().collect();
        if sorted {
            lines.sort_unstable();
        } else {
            lines.sort_by_key(|line| line.split(' ').nth(1));
        }
        self.record.note(format!("{host} {name}: {lines:?}"));
    }

    fn note_lines(&mut self, host: &str, name: &str) {
        let text = std::fs::read_to_string(self.file(host, name)).unwrap_or_default();
        let directory = self.directory(host).display().to_string();
        for line in text.lines() {
            self.record.note(format!("{host} {name}: {}", without_clock(&line.replace(&directory, "DIR"))));
        }
    }

    fn note_files(&mut self, host: &str) {
        let mut found: Vec<String> = std::fs::read_dir(self.directory(host))
            .unwrap()
            .flatten()
            .map(|entry| {
                let metadata = entry.metadata().unwrap();
                let kind = if metadata.file_type().is_fifo() { "fifo" } else { "file" };
                format!(
                    "{host} has {kind} {} {:o}",
                    entry.file_name().display(),
                    metadata.permissions().mode() & 0o7777
                )
            })
            .collect();
        found.sort();
        found.into_iter().for_each(|line| self.record.note(line));
    }

    fn read_fifo(&mut self, host: &str, name: &str) {
        let (fifo, log) = (self.file(host, name), self.file(host, &format!("{name}.log")));
        // Open for writing as well, it never ends when the daemon opens it anew.
        let text = format!("exec cat <> {} > {}", fifo.display(), log.display());
        self.helpers.push(self.hosts[host].0.start("sh", ["-c", &text]).unwrap());
    }
}

/// Moments and numbers of descriptors are nobody's fault.
fn without_clock(line: &str) -> String {
    for name in ["Last transition = ", "Read timeout = ", "MAC = ", "IPv6 address = fe80"] {
        if let Some(at) = line.find(name) {
            return format!("{}...", &line[..at + name.len()]);
        }
    }
    if line.contains("fd_in") { "fd_in N, fd_out N".to_owned() } else { line.to_owned() }
}

fn write_script(path: &Path, action: &str) {
    let aside = path.with_extension("aside");
    std::fs::write(&aside, format!("#!/bin/sh\n{action}\n")).unwrap();
    set_mode(&aside, 0o755);
    std::fs::rename(aside, path).unwrap();
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
