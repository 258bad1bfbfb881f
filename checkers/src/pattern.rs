//! `regex` of an HTTP check.
//!
//! Expressions are matched in linear time, so a hostile body costs no more than its length. Back references and look-around
//! of PCRE are refused for that reason.

use regex_automata::Input;
use regex_automata::meta::{BuildError, Config, Regex};
use regex_automata::util::syntax;
use std::fmt;

/// Bytes of a body that are kept and searched.
pub(crate) const WINDOW: usize = 256 << 10;
/// Memory that a compiled expression may take.
const SIZE_LIMIT: usize = 1 << 20;

/// What the body of an answer must, or must not, contain.
#[derive(Clone)]
pub struct BodyPattern {
    settings: PatternSettings,
    regex: Regex,
}

/// The keywords that make a [`BodyPattern`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatternSettings {
    /// `regex`, searched in the first 256 KiB of the body.
    pub regex: String,
    /// `regex_no_match`: a match is a failure.
    pub inverted: bool,
    /// `regex_options`. Those that only tune PCRE are accepted without effect.
    pub options: Vec<String>,
    /// `regex_min_offset`: where the search begins.
    pub min_offset: usize,
    /// `regex_max_offset`: the last byte at which a match may begin.
    pub max_offset: Option<usize>,
}

/// Why a pattern cannot be used.
#[derive(Debug)]
pub enum PatternError {
    /// The expression is wrong, or uses what linear matching cannot do.
    Regex(Box<BuildError>),
    /// An option that would change the meaning and that is not known here.
    Option(String),
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Regex(error) => match error.syntax_error() {
                Some(syntax) => write!(f, "regex cannot be used: {syntax}"),
                None => write!(f, "regex cannot be used: {error}"),
            },
            Self::Option(option) => write!(f, "regex_options `{option}` cannot be followed"),
        }
    }
}

impl std::error::Error for PatternError {}

impl BodyPattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// See [`PatternError`].
    pub fn new(settings: PatternSettings) -> Result<Self, PatternError> {
        let mut syntax = syntax::Config::new().utf8(false).unicode(false);
        for option in &settings.options {
            syntax = with_option(syntax, option)?;
        }
        let config = Config::new().utf8_empty(false).nfa_size_limit(Some(SIZE_LIMIT));
        let built = Regex::builder().configure(config).syntax(syntax).build(&settings.regex);
        let regex = built.map_err(|error| PatternError::Regex(Box::new(error)))?;
        Ok(Self { settings, regex })
    }

    /// Whether a body is as it should be.
    pub fn accepts(&self, body: &[u8]) -> bool {
        self.matches(body) != self.settings.inverted
    }

    fn matches(&self, body: &[u8]) -> bool {
        if self.found(body) {
            return true;
        }
        // PCRE's `$` also stands before a newline that ends the subject.
        let strict = self.settings.options.iter().any(|option| option == "dollar_endonly");
        match body.strip_suffix(b"\n") {
            Some(line) if !strict && self.settings.regex.contains('$') => self.found(line),
            _ => false,
        }
    }

    fn found(&self, body: &[u8]) -> bool {
        let begin = self.settings.min_offset;
        if begin > body.len() {
            return false;
        }
        let found = self.regex.search(&Input::new(body).range(begin..));
        found.is_some_and(|found| self.settings.max_offset.is_none_or(|max| found.start() <= max))
    }
}

/// PCRE2's names, as keepalived.conf has them.
fn with_option(syntax: syntax::Config, option: &str) -> Result<syntax::Config, PatternError> {
    Ok(match option {
        "caseless" => syntax.case_insensitive(true),
        "dotall" => syntax.dot_matches_new_line(true),
        "extended" => syntax.ignore_whitespace(true),
        "multiline" => syntax.multi_line(true),
        "ungreedy" => syntax.swap_greed(true),
        "utf" | "ucp" => syntax.unicode(true),
        "auto_callout"
        | "dollar_endonly"
        | "dupnames"
        | "never_backslash_c"
        | "never_ucp"
        | "never_utf"
        | "no_auto_capture"
        | "no_auto_possess"
        | "no_dotstar_anchor"
        | "no_start_optimize"
        | "use_offset_limit"
        | "alt_verbnames"
        | "match_unset_backref" => syntax,
        other => return Err(PatternError::Option(other.to_owned())),
    })
}

impl PartialEq for BodyPattern {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

impl Eq for BodyPattern {}

impl fmt::Debug for BodyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn pattern(regex: &str, options: &[&str]) -> BodyPattern {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        BodyPattern::new(PatternSettings { regex: regex.to_owned(), options, ..PatternSettings::default() }).unwrap()
    }

    #[test]
    fn bodies_are_searched() {
        assert!(pattern("status: (ok|well)", &[]).accepts(b"<p>status: well</p>"));
        assert!(!pattern("status: ok", &[]).accepts(b"status: OK"));
        assert!(pattern("status: ok", &["caseless", "no_auto_capture"]).accepts(b"status: OK"));
        assert!(pattern("a.b", &["dotall"]).accepts(b"a\nb"));
        assert!(pattern("^b$", &["multiline"]).accepts(b"a\nb\nc"));
        assert!(pattern("a b # comment", &["extended"]).accepts(b"ab"));
        assert!(pattern("\\xff", &[]).accepts(b"\xfe\xff"));
    }

    #[test]
    fn a_dollar_stands_before_the_last_newline() {
        assert!(pattern("^ok$", &[]).accepts(b"ok\n"));
        assert!(!pattern("^ok$", &["dollar_endonly"]).accepts(b"ok\n"));
        assert!(!pattern("^ok$", &[]).accepts(b"ok\n\n"));
    }

    #[test]
    fn offsets_bound_the_beginning_of_a_match() {
        let mut settings = PatternSettings { regex: "b".to_owned(), min_offset: 2, ..PatternSettings::default() };
        let accepts = |settings: &PatternSettings, body| BodyPattern::new(settings.clone()).unwrap().accepts(body);
        assert!(!accepts(&settings, b"ab".as_slice()));
        assert!(!accepts(&settings, b"b"));
        assert!(accepts(&settings, b"abcb"));
        settings.max_offset = Some(2);
        assert!(!accepts(&settings, b"abcb"));
        settings.max_offset = Some(3);
        assert!(accepts(&settings, b"abcb"));
        settings.inverted = true;
        assert!(!accepts(&settings, b"abcb"));
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        let refused = |regex: &str, option: &str| {
            let options = vec![option.to_owned()];
            BodyPattern::new(PatternSettings { regex: regex.to_owned(), options, ..PatternSettings::default() })
                .is_err()
        };
        assert!(!refused("a", "utf"));
        assert!(refused("a", "alt_bsux"));
        for regex in ["(", "(?=a)", "(a)\\1", "\\p{Nonsense}", "(a{1000}){1000}"] {
            assert!(refused(regex, "utf"), "{regex}");
        }
    }

    #[test]
    fn hostile_bodies_cost_their_length() {
        let begun = Instant::now();
        assert!(!pattern("(a*)*b", &[]).accepts(&[b'a'; WINDOW]));
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
