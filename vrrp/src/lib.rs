//! The workspace is laid; this crate is filled next.

#![forbid(unsafe_code)]
