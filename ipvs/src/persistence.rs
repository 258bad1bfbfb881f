//! Persistence: one client's connections go to one server.

use std::time::Duration;

/// `ipvsadm -p`: how long and how widely a client is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persistence {
    /// How long after its latest new connection a client is remembered.
    pub timeout: Duration,
    /// Bits of the client's address that count (granularity): 32 or 128 for each client alone.
    pub prefix_len: u8,
    /// `ipvsadm --pe`: what else tells clients apart.
    pub engine: Option<PersistenceEngine>,
}

/// Something in a packet by which a client is remembered instead of its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersistenceEngine {
    /// The Call-ID of SIP over UDP (RFC 3261 section 20.8; ip_vs_pe_sip.c). Other protocols go by the address.
    Sip,
}

impl PersistenceEngine {
    /// The engine of this name among the kernel's modules.
    pub(crate) fn of_name(name: &[u8]) -> Option<PersistenceEngine> {
        Some(PersistenceEngine::Sip).filter(|engine| engine.name() == name)
    }

    /// The engine's name among the kernel's modules.
    pub(crate) fn name(self) -> &'static [u8] {
        match self {
            PersistenceEngine::Sip => b"sip",
        }
    }
}

/// The longest Call-ID that counts, as in the kernel.
const LONGEST: usize = 255;

/// The Call-ID of a SIP message, the payload of a UDP datagram.
pub(crate) fn call_id(message: &[u8]) -> Option<&[u8]> {
    let mut lines = message.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.next().filter(|start| is_start_line(start))?;
    let id = lines.take_while(|line| !line.is_empty()).find_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        let name = name.trim_ascii();
        let is_call_id = name.eq_ignore_ascii_case(b"call-id") || name.eq_ignore_ascii_case(b"i");
        is_call_id.then(|| value.get(1..).unwrap_or_default().trim_ascii())
    })?;
    (!id.is_empty() && id.len() <= LONGEST).then_some(id)
}

/// RFC 3261 section 7: a request ends with the version, a response begins with it.
fn is_start_line(line: &[u8]) -> bool {
    line.starts_with(b"SIP/2.0 ") || line.ends_with(b" SIP/2.0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_is_found_in_requests_and_answers() {
        let request =
            b"INVITE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP x\r\nCall-ID: a84b@pc33 \r\n\r\nCall-ID: body";
        assert_eq!(call_id(request), Some(&b"a84b@pc33"[..]));
        assert_eq!(call_id(b"SIP/2.0 200 OK\r\ni:a84b@pc33\r\n\r\n"), Some(&b"a84b@pc33"[..]));
        assert_eq!(call_id(b"OPTIONS sip:a SIP/2.0\nCALL-ID : x\n\n"), Some(&b"x"[..]));
    }

    #[test]
    fn what_is_no_call_has_no_id() {
        let long = [b"INVITE a SIP/2.0\nCall-ID: ".as_slice(), &[b'x'; 256], b"\n\n"].concat();
        let none: [&[u8]; 6] = [
            b"",
            b"hello",
            b"GET / HTTP/1.1\r\nCall-ID: x\r\n\r\n",
            b"INVITE a SIP/2.0\r\n\r\nCall-ID: x\r\n",
            b"INVITE a SIP/2.0\r\nCall-ID:\r\n\r\n",
            &long,
        ];
        assert!(none.iter().all(|message| call_id(message).is_none()));
    }
}
