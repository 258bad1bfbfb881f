//! Full NAT tells a server who its client is, by a TCP option in the packets of the handshake.

use crate::address::Address;
use crate::forward::nat::pseudo_sum;
use crate::packet::icmp::ReplyBuffer;
use crate::packet::{Frame, Header, checksum, read, write};
use crate::service::Protocol;

const DATA_OFFSET: usize = 12;
const CHECKSUM: usize = 16;
/// The longest TCP header.
const LONGEST: usize = 60;

/// The option's bytes, a multiple of four.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientOption {
    bytes: [u8; 20],
    length: usize,
}

impl ClientOption {
    pub(crate) fn new(kind: u8, port: u16, address: &[u8]) -> ClientOption {
        let mut bytes = [0; 20];
        let length = 4 + address.len();
        let parts = [kind, length as u8].into_iter().chain(port.to_be_bytes()).chain(address.iter().copied());
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        ClientOption { bytes, length }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The TCP packet in `frame` with one more option. None if the header or the buffer has no room for it, or if it is a
/// superpacket: then it goes without.
pub(crate) fn with_option<A: Address>(
    frame: &Frame<'_>,
    header: &Header<A>,
    (source, destination): (A, A),
    option: ClientOption,
) -> Option<ReplyBuffer> {
    let segment = frame.packet.get(header.l4..header.end)?;
    let offset = *segment.get(DATA_OFFSET)?;
    let tcp_header = usize::from(offset >> 4) * 4;
    let room = tcp_header + option.length <= LONGEST && header.end + option.length <= ReplyBuffer::CAPACITY;
    if !room || frame.gso_size > 0 || tcp_header < 20 {
        return None;
    }
    let mut reply = ReplyBuffer::default();
    reply.extend(frame.packet.get(..header.l4 + tcp_header)?);
    reply.extend(option.bytes());
    reply.extend(frame.packet.get(header.l4 + tcp_header..header.end)?);
    A::set_length(reply.get_mut(0..)?, header.end + option.length);
    let tcp = reply.get_mut(header.l4..)?;
    *tcp.get_mut(DATA_OFFSET)? += (option.length as u8 / 4) << 4;
    let pseudo = |length| pseudo_sum(source, destination, Protocol::Tcp.number(), length);
    let field = match frame.checksum_partial {
        true => {
            write(tcp, CHECKSUM, 0);
            !checksum::sum(tcp, pseudo(tcp.len()))
        }
        false => {
            let grown = (option.length as u32) + ((option.length as u32 / 4) << 12);
            let added = u32::from(checksum::sum(option.bytes(), grown));
            checksum::update(read(tcp, CHECKSUM)?, added)
        }
    };
    write(tcp, CHECKSUM, field);
    Some(reply)
}
