//! The entry file and `include` (behaviour note 16).

use super::line::Line;
use super::{Frame, Reader, Stop};
use crate::diagnostic::{Diagnostic, Weight};
use crate::loader::LoadError;
use crate::source::TEXT_LIMIT;
use crate::span::{FileId, Span};
use std::path::{Component, Path, PathBuf};

/// Largest single file.
const FILE_LIMIT: usize = 64 << 20;
/// Files may include files this deep.
const INCLUDE_DEPTH: usize = 32;
/// Files read in one parse.
const FILE_COUNT: usize = 4096;

/// Longest path or pattern.
const PATH_LIMIT: usize = 4096;

const KEYWORDS: [&str; 6] = ["include", "includer", "includem", "includew", "includeb", "includea"];

impl Reader<'_> {
    pub(super) fn open_entry(&mut self, entry: &Path) {
        if let Err(error) = self.push_file(entry) {
            let text = format!("cannot read {}: {error}", entry.display());
            let found = Diagnostic::fatal("unreadable-configuration", text).weighing(Weight::Outranks);
            self.diagnostics.push(found);
        }
    }

    /// Puts a file on the stack of those being read.
    fn push_file(&mut self, path: &Path) -> Result<(), LoadError> {
        let bytes = self.loader.read(path, FILE_LIMIT.min(TEXT_LIMIT))?;
        let file = self.sources.add_file(path, bytes).ok_or(LoadError::TooLarge)?;
        self.tree.expect(self.sources.text(file).len());
        self.push_frame(file, path);
        Ok(())
    }

    pub(super) fn push_frame(&mut self, file: FileId, path: &Path) {
        let directory = path.parent().filter(|p| !p.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new(".")).to_owned();
        self.frames.push(Frame { file, directory, next: 0, line: 1, plain: 0 });
    }

    /// An `include` line. False when the line is something else.
    pub(super) fn include(&mut self, line: &Line) -> Result<bool, Stop> {
        let text = self.sources.get(line.text);
        let Some(keyword) = text.split(crate::lexer::is_blank).next().filter(|w| KEYWORDS.contains(w)) else {
            return Ok(false);
        };
        let keyword = keyword.to_owned();
        let target = line.part(keyword.len(), text.len()).trimmed(&self.sources);
        let span = target.whole(&self.sources);
        let pattern = self.sources.get(target.text).to_owned();
        if pattern.is_empty() {
            let found = Diagnostic::error("missing-path", format!("`{keyword}` needs a path"));
            self.diagnostics.push(found.at(line.whole(&self.sources)));
        } else if pattern.starts_with('"') {
            self.report_quotes(&keyword, &pattern, span);
        } else {
            self.include_pattern(&keyword, &pattern, span);
        }
        Ok(true)
    }

    fn report_quotes(&mut self, keyword: &str, pattern: &str, span: Span) {
        let weight = if must_exist(keyword, pattern) { Weight::Outranks } else { Weight::Silent };
        let found = Diagnostic::trap("include-quotes", "quotes are part of the file name here")
            .weighing(weight)
            .at(span)
            .help("keepalived finds no such file and goes on without it")
            .suggest(Some(pattern.trim_matches('"')));
        self.diagnostics.push(found);
    }

    fn include_pattern(&mut self, keyword: &str, pattern: &str, span: Span) {
        self.includes += 1;
        if self.includes > FILE_COUNT || pattern.len() > PATH_LIMIT {
            return self.report_too_many(span);
        }
        let path = join(self.directory(), Path::new(pattern));
        let globbed = crate::glob::is_pattern(pattern).then(|| self.loader.glob(&path));
        let paths = match globbed.unwrap_or_else(|| Ok(vec![path])) {
            Ok(paths) => paths,
            Err(error) => return self.report_unread(keyword, pattern, &LoadError::Io(error), span),
        };
        let missing = self.missing_alternatives(keyword, pattern);
        let depth = self.frames.len();
        for path in paths.iter().rev() {
            self.include_file(keyword, pattern, path, span);
        }
        if paths.is_empty() {
            self.report_unread(keyword, pattern, &LoadError::NotFound, span);
        } else if !missing.is_empty() {
            self.report_missing(&missing, span);
        }
        debug_assert!(self.frames.len() >= depth);
    }

    fn include_file(&mut self, keyword: &str, pattern: &str, path: &Path, span: Span) {
        let cycle = self.frames.iter().any(|f| self.sources.path(f.file) == path);
        if cycle || self.frames.len() >= INCLUDE_DEPTH + FILE_COUNT || self.include_depth() >= INCLUDE_DEPTH {
            let text = format!("including {} again would never end", path.display());
            let found = Diagnostic::fatal("include-cycle", text);
            return self.diagnostics.push(found.at(span));
        }
        if self.sources.file_count() >= FILE_COUNT {
            return self.report_too_many(span);
        }
        if let Err(error) = self.push_file(path) {
            self.report_unread(keyword, pattern, &error, span);
        }
    }

    /// What of the alternatives in braces names no file.
    fn missing_alternatives(&self, keyword: &str, pattern: &str) -> Vec<String> {
        if !matches!(keyword, "includeb" | "includea") || !pattern.contains('{') {
            return Vec::new();
        }
        let absent = |alternative: &String| {
            let path = join(self.directory(), Path::new(alternative));
            self.loader.glob(&path).is_ok_and(|found| found.is_empty())
        };
        crate::glob::expand_braces(pattern).into_iter().filter(absent).collect()
    }

    fn report_missing(&mut self, missing: &[String], span: Span) {
        let text = format!("cannot include {}: no such file", missing.join(" and "));
        let found = Diagnostic::error("missing-include", text).weighing(Weight::Outranks);
        self.diagnostics.push(found.at(span));
    }

    fn report_too_many(&mut self, span: Span) {
        let text = format!("more than {FILE_COUNT} files are included, or a path is longer than {PATH_LIMIT} bytes");
        self.diagnostics.push(Diagnostic::fatal("too-many-files", text).at(span));
    }

    /// Files that are not yet read to their end and have begun.
    fn include_depth(&self) -> usize {
        self.frames.iter().filter(|f| f.next > 0).count()
    }

    fn report_unread(&mut self, keyword: &str, pattern: &str, error: &LoadError, span: Span) {
        let text = format!("cannot include {pattern}: {error}");
        let forced = match error {
            LoadError::NotFound => must_exist(keyword, pattern),
            _ => keyword != "include",
        };
        let found = if forced {
            let help = format!("`{keyword}` insists on it; create the file, or write `include`");
            Diagnostic::error("missing-include", text).weighing(Weight::Outranks).help(help)
        } else {
            Diagnostic::trap("missing-include", text).help("keepalived goes on without it")
        };
        self.diagnostics.push(found.at(span));
    }
}

/// Which kinds of `include` make a file that is missing an error: one named outright, or one that a pattern describes.
fn must_exist(keyword: &str, pattern: &str) -> bool {
    match keyword {
        "includea" | "includew" => true,
        "includem" => !crate::glob::is_pattern(pattern),
        _ => false,
    }
}

/// A path relative to a directory, `.` components dropped.
fn join(directory: &Path, path: &Path) -> PathBuf {
    let joined = directory.join(path);
    let plain = |c: &Component<'_>| !matches!(c, Component::CurDir);
    joined.components().filter(plain).collect()
}
