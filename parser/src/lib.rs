//! keepalived's configuration language: text in, typed [`model::Config`] and diagnostics out.
//!
//! This crate opens no file, looks at no interface and no user, and knows no time. [`parse`] never fails: what cannot be
//! used is reported and left out, and [`Parsed::verdict`] says what keepalived would make of it.

#![forbid(unsafe_code)]

mod build;
pub mod diagnostic;
mod expand;
pub mod glob;
mod lexer;
pub mod loader;
mod mention;
pub mod model;
pub mod names;
pub mod print;
pub mod reference;
pub mod secret;
pub mod source;
pub mod span;
mod suggest;
pub mod table;
mod tree;
mod value;

pub use build::NotActedOn;
pub use diagnostic::{Diagnostic, Severity, Verdict, Weight};
pub use loader::{LoadError, Loader, MemoryLoader};
pub use mention::{InterfaceMention, Need};
pub use source::SourceMap;

use model::Config;
use std::path::Path;

/// Looks up an environment variable.
pub type Environment = Box<dyn Fn(&str) -> Option<String>>;

/// What a configuration can refer to besides files.
pub struct Options {
    /// `-i`: the id that `@id` lines are compared with, by default the host name up to its first dot.
    pub config_id: String,
    /// Value of an environment variable, for `${_ENV NAME}`.
    pub environment: Environment,
    /// The next random number, for `${_RANDOM}`.
    pub random: Box<dyn Fn() -> u64>,
    /// Numbers of names in routes and rules that are not built in.
    pub names: names::Names,
}

impl Default for Options {
    /// No id, an empty environment, random numbers that are all 0, and no names but those built in.
    fn default() -> Self {
        Self {
            config_id: String::new(),
            environment: Box::new(|_| None),
            random: Box::new(|| 0),
            names: Box::new(|_, _| None),
        }
    }
}

/// Everything that came out of a configuration.
#[derive(Debug)]
pub struct Parsed {
    /// What it means.
    pub config: Config,
    /// What there is to say about it, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts that spans point into.
    pub sources: SourceMap,
    /// Keywords that are accepted and have no effect yet.
    pub not_acted_on: Vec<NotActedOn>,
    /// Interfaces that are named, in the order of the file.
    pub interfaces: Vec<InterfaceMention>,
    /// Words in the configuration after includes and definitions.
    pub words: usize,
}

impl Parsed {
    /// What keepalived would make of it.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::of(&self.diagnostics)
    }
}

/// Reads the configuration whose first file is `entry`.
#[must_use]
pub fn parse(loader: &dyn Loader, entry: &Path, options: &Options) -> Parsed {
    let (tree, sources, diagnostics) = expand::Reader::new(loader, options).run(entry);
    let built = build::Builder::new(&tree, &sources, options, diagnostics).run();
    Parsed {
        config: built.config,
        diagnostics: built.diagnostics.finish(),
        words: tree.word_count(),
        sources,
        not_acted_on: built.not_acted_on,
        interfaces: built.interfaces,
    }
}
