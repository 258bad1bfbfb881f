//! Reads configuration files from the disk into the model.

use standfast_parser::diagnostic::{self, Style};
use standfast_parser::model::Config;
use standfast_parser::{
    Diagnostic, InterfaceMention, LoadError, Loader, NotActedOn, Options, Parsed, SourceMap, Verdict,
};
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// Directory entries that one pattern of `include` may look at.
const GLOB_LIMIT: usize = 65_536;

/// A configuration as loaded, with everything that there is to say about it.
#[derive(Debug)]
pub struct Loaded {
    /// What it means.
    pub config: Config,
    /// Findings in the order of the files. Checks of this machine may add their own.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts that the findings point into.
    pub sources: SourceMap,
    /// Keywords that are accepted and have no effect yet.
    pub not_acted_on: Vec<NotActedOn>,
    /// Interfaces that the files name.
    pub interfaces: Vec<InterfaceMention>,
}

impl Loaded {
    /// Exit codes of `--config-test` and of the daemon.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::of(&self.diagnostics)
    }

    /// All findings as text with excerpts of the source.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        diagnostic::render_all(&self.diagnostics, &self.sources, style)
    }
}

/// Loads a configuration. `config_id` is what `@id` lines are compared with: `-i`, or the host name up to its first dot.
#[must_use]
pub fn load(path: &Path, config_id: &str) -> Loaded {
    let seed = RandomState::new();
    let count = std::cell::Cell::new(0_u64);
    let options = Options {
        config_id: config_id.to_owned(),
        environment: Box::new(|name| std::env::var(name).ok()),
        random: Box::new(move || {
            count.set(count.get() + 1);
            seed.hash_one(count.get())
        }),
        names: Box::new(crate::iproute::number),
    };
    let Parsed { config, diagnostics, sources, not_acted_on, interfaces, .. } =
        standfast_parser::parse(&Disk, path, &options);
    Loaded { config, diagnostics, sources, not_acted_on, interfaces }
}

/// Files of this machine.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl Loader for Disk {
    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, LoadError> {
        let metadata = fs::metadata(path).map_err(load_error)?;
        if !metadata.is_file() || metadata.permissions().mode() & 0o111 != 0 {
            return Err(LoadError::NotPlain);
        }
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        if metadata.len() > limit {
            return Err(LoadError::TooLarge);
        }
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(load_error)?;
        file.take(limit + 1).read_to_end(&mut bytes).map_err(load_error)?;
        if bytes.len() as u64 > limit {
            return Err(LoadError::TooLarge);
        }
        Ok(bytes)
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let text = pattern.to_string_lossy();
        let (mut found, mut budget) = (Vec::new(), GLOB_LIMIT);
        for one in standfast_parser::glob::expand_braces(&text) {
            found.extend(glob_one(Path::new(&one), &mut budget)?);
        }
        Ok(found)
    }
}

fn load_error(error: io::Error) -> LoadError {
    if error.kind() == io::ErrorKind::NotFound { LoadError::NotFound } else { LoadError::Io(error) }
}

/// The existing paths that match a pattern without braces, sorted.
fn glob_one(pattern: &Path, budget: &mut usize) -> io::Result<Vec<PathBuf>> {
    let mut paths = vec![PathBuf::new()];
    for component in pattern.components() {
        let name = component.as_os_str().to_string_lossy();
        let plain = !matches!(component, Component::Normal(_)) || !standfast_parser::glob::is_pattern(&name);
        let mut next = Vec::new();
        for path in paths {
            if plain {
                next.push(path.join(component));
            } else {
                next.extend(matching_entries(&path, &name, budget)?);
            }
        }
        paths = next;
    }
    paths.retain(|p| p.exists());
    Ok(paths)
}

fn matching_entries(directory: &Path, pattern: &str, budget: &mut usize) -> io::Result<Vec<PathBuf>> {
    let read = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let Ok(entries) = fs::read_dir(read) else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    for entry in entries {
        let spent = budget.checked_sub(1);
        *budget = spent.ok_or_else(|| io::Error::other("the pattern looks at too many files"))?;
        let name = entry?.file_name();
        if standfast_parser::glob::matches_name(pattern, &name.to_string_lossy()) {
            names.push(directory.join(name));
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;

    fn directory_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            fs::write(path, text).expect("a file");
        }
        directory
    }

    #[test]
    fn includes_are_found_beside_the_file_that_names_them() {
        let directory = directory_with(&[
            ("k.conf", "include sub/*.conf\n"),
            ("sub/a.conf", "global_defs {\n router_id A\n}\ninclude b.inc\n"),
            ("sub/b.inc", "global_defs {\n smtp_alert on\n}\n"),
        ]);
        let loaded = load(&directory.path().join("k.conf"), "x");
        assert_eq!(loaded.diagnostics, []);
        assert_eq!(loaded.config.globals.router_id.as_deref(), Some("A"));
        assert_eq!(loaded.config.globals.smtp_alert, Some(true));
    }

    #[test]
    fn what_is_no_plain_file_is_skipped_and_said_so() {
        let text = "include /dev/zero\ninclude pipe\ninclude sub\nglobal_defs {\n router_id A\n}\n";
        let directory = directory_with(&[("k.conf", text), ("sub/x", "")]);
        nix::unistd::mkfifo(&directory.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        let loaded = load(&directory.path().join("k.conf"), "x");
        let codes: Vec<_> = loaded.diagnostics.iter().map(|d| d.code).collect();
        assert_eq!(codes, ["missing-include"; 3]);
        assert_eq!(loaded.config.globals.router_id.as_deref(), Some("A"));
    }

    #[test]
    fn a_pattern_over_everything_is_given_up() {
        let found = Disk.glob(Path::new("/{proc,sys}/*/*/*/*/*"));
        assert!(found.is_err() || found.is_ok_and(|paths| paths.len() <= GLOB_LIMIT));
    }

    #[test]
    fn a_missing_directory_or_executable_file_is_refused() {
        let directory = directory_with(&[("k.conf", "")]);
        let path = directory.path().join("k.conf");
        assert_eq!(load(&path, "").verdict().test, 0);
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("permissions");
        for bad in [path.as_path(), directory.path(), Path::new("/nonexistent/k.conf")] {
            let verdict = load(bad, "").verdict();
            assert_eq!((verdict.test, verdict.daemon), (6, Some(6)), "{}", bad.display());
        }
    }
}
