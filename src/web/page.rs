//! The status page and what a browser may do with it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

pub(super) const KIND: &str = "text/html; charset=utf-8";

/// Everything in one file.
pub(super) const PAGE: &str = include_str!("page.html");

/// The Content-Security-Policy: the page's own style and script, known by their digests, and connections to where it came from.
pub(super) fn policy() -> String {
    let (style, script) = (digest("style"), digest("script"));
    format!(
        "default-src 'none'; style-src '{style}'; script-src '{script}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

fn digest(element: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(inside(element))))
}

/// The text of the page's only element of this name; empty when there is none.
fn inside(element: &str) -> &'static str {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let text = PAGE.split_once(&open).map_or("", |(_, rest)| rest);
    text.split_once(&close).map_or("", |(text, _)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_stands_alone() {
        assert!(!inside("style").is_empty() && !inside("script").is_empty());
        for element in ["<style", "<script"] {
            assert_eq!(PAGE.matches(element).count(), 1, "{element}");
        }
        let foreign = ["http:", "https:", "src=", "@import", "url(", "style=", "onclick", "onload"];
        for text in foreign {
            let found = PAGE.lines().find(|line| line.contains(text) && !line.contains("data:"));
            assert_eq!(found, None, "{text}");
        }
    }

    /// Names come from the configuration and reasons from the network.
    #[test]
    fn texts_are_never_read_as_html() {
        for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser", "Function("]
        {
            assert!(!PAGE.contains(way), "{way}");
        }
    }
}
