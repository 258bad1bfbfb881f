//! `lb_kind`, `lvs_method` and what full NAT needs.

use super::words::{Read, Words};
use super::{Builder, Item};
use crate::diagnostic::Diagnostic;
use crate::model::{ClientAddress, ForwardingMethod, Tunnel, TunnelChecksum, TunnelKind};
use crate::suggest::nearest;
use crate::table;

/// A method and, for TUN, how packets are wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forwarding {
    pub(super) method: ForwardingMethod,
    pub(super) tunnel: Tunnel,
}

impl<'t> Builder<'t> {
    /// `None` when the line cannot be used.
    pub(super) fn forwarding(&mut self, item: &Item<'t>) -> Option<Forwarding> {
        let word = item.argument(0)?;
        self.option(&table::FORWARDING, word);
        let method = match word.text {
            "NAT" => ForwardingMethod::Nat,
            "DR" => ForwardingMethod::Dr,
            "TUN" => ForwardingMethod::Tun,
            "FULLNAT" => ForwardingMethod::FullNat,
            other => {
                let text = format!("unknown forwarding method `{other}`");
                let found = Diagnostic::error("unknown-forwarding", text).at(word.span);
                let near = nearest(other, ["NAT", "DR", "TUN"]);
                self.report(found.help("NAT, DR or TUN, in capitals; the line is ignored").suggest(near));
                return None;
            }
        };
        let tunnel = match item.argument(1) {
            Some(_) => self.tunnel(&mut Words::new(item.arguments().get(1..)?)?).ok()?,
            None => Tunnel::default(),
        };
        Some(Forwarding { method, tunnel })
    }

    /// `[type ipip|gre|gue port N] [nocsum|csum|remcsum]`.
    fn tunnel(&mut self, words: &mut Words<'_, 't>) -> Read<Tunnel> {
        let (mut kind, mut port, mut checksum) = (TunnelKind::Ipip, None, TunnelChecksum::None);
        let mut last = None;
        while let Some(word) = words.next() {
            self.option(&table::FORWARDING, word);
            last = Some(word);
            match word.text {
                "type" => kind = self.tunnel_kind(words)?,
                "port" => port = Some(self.bounded::<u16>(words, 65_535)?).filter(|port| *port > 0),
                "nocsum" => checksum = TunnelChecksum::None,
                "csum" => checksum = TunnelChecksum::Full,
                "remcsum" => checksum = TunnelChecksum::Remote,
                other => {
                    let text = format!("unknown option `{other}` of a tunnel");
                    return self.refuse(word, "unknown-option", text);
                }
            }
        }
        let problem = match (kind, port, checksum) {
            (TunnelKind::Gue { .. }, None, _) => "a gue tunnel needs `port N`",
            (TunnelKind::Gue { .. }, Some(port), _) => return Ok(Tunnel { kind: TunnelKind::Gue { port }, checksum }),
            (_, Some(_), _) => "only gue tunnels have a port",
            (TunnelKind::Ipip, _, TunnelChecksum::Full | TunnelChecksum::Remote) => "ipip tunnels have no checksum",
            (TunnelKind::Gre, _, TunnelChecksum::Remote) => "gre tunnels have no remote checksum",
            _ => return Ok(Tunnel { kind, checksum }),
        };
        match last {
            Some(at) => self.refuse(at, "invalid-tunnel", problem.to_owned()),
            None => Ok(Tunnel::default()),
        }
    }

    fn tunnel_kind(&mut self, words: &mut Words<'_, 't>) -> Read<TunnelKind> {
        let value = self.value(words)?;
        match value.text {
            "ipip" => Ok(TunnelKind::Ipip),
            "gue" => Ok(TunnelKind::Gue { port: 0 }),
            "gre" => Ok(TunnelKind::Gre),
            other => self.refuse(value, "unknown-option", format!("unknown tunnel type `{other}`: ipip, gue or gre")),
        }
    }

    pub(super) fn client_address(&mut self, item: &Item<'t>) -> Option<ClientAddress> {
        match item.word()? {
            "none" => Some(ClientAddress::Hidden),
            "toa" => Some(ClientAddress::TcpOption),
            "proxy" => Some(ClientAddress::ProxyProtocol),
            "proxy_v1" => Some(ClientAddress::ProxyText),
            other => {
                let text = format!("`{other}` is no way to tell the client's address");
                let found = Diagnostic::error("unknown-option", text).at(item.argument_span());
                self.report(found.help("none, toa, proxy or proxy_v1; the line is ignored"));
                None
            }
        }
    }
}
