//! Configurations and what the parser says of them, as snapshots.

mod common;

use common::{parse_text, without_spans};
use standfast_parser::diagnostic::{Style, render_all, to_json};

/// Verdict, findings with excerpts, keywords without effect.
fn findings(text: &str) -> String {
    let parsed = parse_text(text);
    let kept: Vec<&str> = parsed.not_acted_on.iter().map(|n| n.keyword.as_str()).collect();
    let shown = render_all(&parsed.diagnostics, &parsed.sources, Style::Plain);
    format!("{:?}\nnot acted on: {}\n\n{shown}", parsed.verdict(), kept.join(" "))
}

macro_rules! probe {
    ($name:ident) => {
        #[test]
        fn $name() {
            let text = include_str!(concat!("probes/", stringify!($name), ".conf"));
            insta::assert_snapshot!(concat!(stringify!($name), "_findings"), findings(text));
            let model = without_spans(&parse_text(text).config);
            insta::assert_snapshot!(concat!(stringify!($name), "_model"), model);
        }
    };
}

probe!(pair_nat);
probe!(oddities);
probe!(language);

#[test]
fn json_has_places() {
    let parsed = parse_text("global_defs {\n  rooter_id x\n}\n");
    insta::assert_snapshot!(to_json(&parsed.diagnostics, &parsed.sources));
}
