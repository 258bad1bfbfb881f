//! What directors of this kind say to each other beyond IPVS's protocol: datagrams without entries, which the kernel
//! looks at no further than that.

use super::message::{self, EXTENSION};
use super::seal;

const LENGTH: usize = 20;
const HELLO: u8 = 1;
const COMPLETE: u8 = 2;
/// 3 is the kind of a seal.
const BEGIN: u8 = 4;

/// Something said behind the last entry of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// A receiving daemon of this kind is there.
    Hello {
        /// A number that it has drawn.
        daemon: u64,
        /// It asks for all connections by this number; 0 when it asks for nothing.
        request: u32,
    },
    /// All connections that a daemon asked for are on their way.
    Begin {
        /// That daemon.
        daemon: u64,
        /// Its request.
        request: u32,
    },
    /// All connections that a daemon asked for have been sent.
    Complete {
        /// That daemon.
        daemon: u64,
        /// Its request.
        request: u32,
    },
}

impl Extension {
    /// The datagram that says it: header, mark, kind, three zeros, daemon, request.
    pub fn datagram(&self, syncid: u8) -> Vec<u8> {
        let (kind, daemon, request) = match *self {
            Extension::Hello { daemon, request } => (HELLO, daemon, request),
            Extension::Begin { daemon, request } => (BEGIN, daemon, request),
            Extension::Complete { daemon, request } => (COMPLETE, daemon, request),
        };
        let header = message::header(syncid, 0, message::HEADER + LENGTH);
        let words = [&header[..], &EXTENSION, &[kind, 0, 0, 0], &daemon.to_be_bytes(), &request.to_be_bytes()];
        words.concat()
    }

    /// Reads what follows the entries of a message; none for what this version does not know.
    pub fn parse(bytes: &[u8]) -> Option<Extension> {
        let (bytes, _) = seal::split(bytes);
        let bytes: &[u8; LENGTH] =
            bytes.try_into().ok().filter(|bytes: &&[u8; LENGTH]| bytes.starts_with(&EXTENSION))?;
        let daemon = u64::from_be_bytes(*bytes.get(8..)?.first_chunk()?);
        let request = u32::from_be_bytes(*bytes.get(16..)?.first_chunk()?);
        match bytes[4] {
            HELLO => Some(Extension::Hello { daemon, request }),
            BEGIN => Some(Extension::Begin { daemon, request }),
            COMPLETE => Some(Extension::Complete { daemon, request }),
            _ => None,
        }
    }
}
