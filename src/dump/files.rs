//! Where dumps are written.

use super::directory;
use standfast_parser::model::Globals;
use std::path::{Path, PathBuf};

/// A dump by what it tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dump {
    /// The global definitions.
    Parent,
    /// The state of VRRP.
    Vrrp,
    /// The state of the checkers.
    Checkers,
    /// BFD sessions.
    Bfd,
    /// Counters.
    Statistics,
    /// State and counters of VRRP as JSON.
    Json,
}

impl Dump {
    /// Its file: keepalived's name in [`directory`], or what `state_dump_file`, `stats_dump_file` or `json_dump_file` say. One
    /// that ends in a slash is a directory; another one is a template for the state files of several parts. With
    /// `data_use_instance`, the names of the network namespace and of the instance are part of those of the state files.
    #[must_use]
    pub fn path(self, globals: &Globals) -> PathBuf {
        let dumps = &globals.dumps;
        let (template, name, part) = match self {
            Self::Parent => (&dumps.state, "keepalived_parent.data", "_parent"),
            Self::Vrrp => (&dumps.state, "keepalived.data", ""),
            Self::Checkers => (&dumps.state, "keepalived_check.data", "_checker"),
            Self::Bfd => (&dumps.state, "keepalived_bfd.data", "_bfd"),
            Self::Statistics => (&dumps.stats, "keepalived.stats", ""),
            Self::Json => (&dumps.json, "keepalived.json", ""),
        };
        let path = match template {
            None => directory().join(name),
            Some(template) if template.ends_with('/') => Path::new(template).join(name),
            Some(template) => with(Path::new(template), part),
        };
        let counters = matches!(self, Self::Statistics | Self::Json);
        let own = [&globals.net_namespace, &globals.instance].into_iter().flatten();
        // Names hold no slash that would lead elsewhere.
        let own: Vec<String> = own.map(|name| name.replace('/', "_")).collect();
        match own.join("_") {
            own if dumps.with_instance && !counters && !own.is_empty() => with(&path, &format!(".{own}")),
            _ => path,
        }
    }
}

/// The same path with more behind the stem of its name.
fn with(path: &Path, more: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map(|extension| format!(".{}", extension.to_string_lossy())).unwrap_or_default();
    path.with_file_name(format!("{stem}{more}{extension}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use standfast_parser::model::DumpFiles;

    fn path(dump: Dump, dumps: DumpFiles) -> String {
        let names = ("one".to_owned(), "red".to_owned());
        let globals = Globals { dumps, instance: Some(names.0), net_namespace: Some(names.1), ..Globals::default() };
        dump.path(&globals).display().to_string()
    }

    #[test]
    fn names_are_keepalived_s_unless_told_otherwise() {
        let there = |name: &str| directory().join(name).display().to_string();
        assert_eq!(path(Dump::Vrrp, DumpFiles::default()), there("keepalived.data"));
        let with_instance = DumpFiles { with_instance: true, ..DumpFiles::default() };
        assert_eq!(path(Dump::Parent, with_instance.clone()), there("keepalived_parent.red_one.data"));
        assert_eq!(path(Dump::Statistics, with_instance), there("keepalived.stats"));
    }

    #[test]
    fn templates_serve_every_part() {
        let state = |state: &str| DumpFiles { state: Some(state.to_owned()), ..DumpFiles::default() };
        assert_eq!(path(Dump::Vrrp, state("/run/x/")), "/run/x/keepalived.data");
        assert_eq!(path(Dump::Vrrp, state("/run/x.y")), "/run/x.y");
        assert_eq!(path(Dump::Bfd, state("/run/x.y")), "/run/x_bfd.y");
        assert_eq!(path(Dump::Parent, state("/run/x")), "/run/x_parent");
        let json = DumpFiles { json: Some("/run/j".to_owned()), ..DumpFiles::default() };
        assert_eq!(path(Dump::Json, json), "/run/j");
    }
}
