//! keepalived's configuration language: text in, typed [`model::Config`] and diagnostics out.

#![forbid(unsafe_code)]

pub mod model;
pub mod span;
