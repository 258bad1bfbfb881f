//! Tunnel options of a server, and which of them go together.

use super::address::number;
use super::option::Opt;
use super::{Method, Tunnel, TunnelChecksum, TunnelKind};

/// The tunnel options read so far.
#[derive(Debug, Default)]
pub(super) struct TunnelOptions {
    seen: Vec<Opt>,
    kind: TunnelKind,
    port: u16,
}

impl TunnelOptions {
    /// Takes one; the error is the message.
    pub(super) fn take(&mut self, opt: Opt, text: &str) -> Result<(), String> {
        self.seen.push(opt);
        match opt {
            Opt::TunType => self.kind = kind(text).ok_or("illegal tunnel type specified")?,
            Opt::TunPort => self.port = number(text, 1, 65535).ok_or("illegal tunnel port specified")? as u16,
            _ => {}
        }
        Ok(())
    }

    /// The options together with the forwarding method; the error is the message.
    pub(super) fn finish(&self, method: Method) -> Result<Tunnel, String> {
        if self.seen.is_empty() {
            return Ok(Tunnel::default());
        }
        if method != Method::Tunnel {
            return Err("Tunnel options conflict with forward method".to_owned());
        }
        self.check()?;
        self.check_conflicts()?;
        Ok(Tunnel { kind: self.kind, port: self.port, checksum: self.checksum() })
    }

    fn has(&self, opt: Opt) -> bool {
        self.seen.contains(&opt)
    }

    fn check(&self) -> Result<(), String> {
        let kind = self.kind.name();
        let allowed: &[Opt] = match self.kind {
            TunnelKind::Ipip => &[],
            TunnelKind::Gue => &[Opt::TunPort, Opt::TunNoCsum, Opt::TunCsum, Opt::TunRemCsum],
            TunnelKind::Gre => &[Opt::TunNoCsum, Opt::TunCsum],
        };
        if self.kind == TunnelKind::Gue && !self.has(Opt::TunPort) {
            return Err(format!("You need to supply the 'tun-port' option for the '{kind}' tunnel type"));
        }
        let checked = [Opt::TunPort, Opt::TunNoCsum, Opt::TunCsum, Opt::TunRemCsum];
        match checked.into_iter().find(|opt| self.has(*opt) && !allowed.contains(opt)) {
            Some(opt) => Err(format!("Illegal '{}' option with the '{kind}' tunnel type", opt.name())),
            None => Ok(()),
        }
    }

    fn check_conflicts(&self) -> Result<(), String> {
        let pairs =
            [(Opt::TunCsum, Opt::TunNoCsum), (Opt::TunRemCsum, Opt::TunNoCsum), (Opt::TunRemCsum, Opt::TunCsum)];
        match pairs.into_iter().find(|(one, other)| self.has(*one) && self.has(*other)) {
            None => Ok(()),
            Some((one, other)) => Err(format!(
                "The option '{}' conflicts with the '{}' option in the '{}' tunnel type",
                one.name(),
                other.name(),
                self.kind.name()
            )),
        }
    }

    fn checksum(&self) -> TunnelChecksum {
        match () {
            () if self.has(Opt::TunRemCsum) => TunnelChecksum::Remote,
            () if self.has(Opt::TunCsum) => TunnelChecksum::Full,
            () => TunnelChecksum::None,
        }
    }
}

fn kind(text: &str) -> Option<TunnelKind> {
    [TunnelKind::Ipip, TunnelKind::Gue, TunnelKind::Gre].into_iter().find(|kind| kind.name() == text)
}

impl TunnelKind {
    /// ipvsadm's name.
    pub fn name(self) -> &'static str {
        match self {
            TunnelKind::Ipip => "ipip",
            TunnelKind::Gue => "gue",
            TunnelKind::Gre => "gre",
        }
    }
}

impl Tunnel {
    /// As `--tun-info` shows it.
    pub(super) fn short(&self) -> String {
        let sum = match self.checksum {
            TunnelChecksum::None => "-c",
            TunnelChecksum::Full => "+c",
            TunnelChecksum::Remote => "r+c",
        };
        match self.kind {
            TunnelKind::Ipip => "ipip".to_owned(),
            TunnelKind::Gue => format!("gue:{}:{sum}", self.port),
            TunnelKind::Gre => format!("gre:{sum}"),
        }
    }

    /// As `-S` writes it.
    pub(super) fn options(&self) -> String {
        let sum = match self.checksum {
            TunnelChecksum::None => "--tun-nocsum",
            TunnelChecksum::Full => "--tun-csum",
            TunnelChecksum::Remote => "--tun-remcsum",
        };
        match self.kind {
            TunnelKind::Ipip => "--tun-type ipip".to_owned(),
            TunnelKind::Gue => format!("--tun-type gue --tun-port {} {sum}", self.port),
            TunnelKind::Gre => format!("--tun-type gre {sum}"),
        }
    }
}
