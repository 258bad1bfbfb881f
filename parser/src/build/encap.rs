//! `encap` of routes and next hops.

use super::Builder;
use super::words::{Read, Words};
use crate::model::{RouteEncap, TunnelHeader};
use crate::names::{self, NameTable};
use std::str::FromStr;

/// The kernel takes as many labels.
const MOST_LABELS: usize = 16;
/// Of 20 bits.
const LARGEST_LABEL: u64 = 0xf_ffff;

impl<'t> Builder<'t> {
    /// What follows `encap`.
    pub(super) fn encap(&mut self, words: &mut Words<'_, 't>) -> Read<RouteEncap> {
        let kind = self.value(words)?;
        match kind.text {
            "mpls" => self.labels(words).map(RouteEncap::Mpls),
            "ip" => self.tunnel_header(words, "tos", "ttl").map(RouteEncap::Ip),
            "ip6" => self.tunnel_header(words, "tc", "hoplimit").map(RouteEncap::Ip6),
            "ila" => self.locator(words).map(RouteEncap::Ila),
            other => self.refuse(kind, "unknown-option", format!("routes are not encapsulated in `{other}`")),
        }
    }

    fn labels(&mut self, words: &mut Words<'_, 't>) -> Read<Vec<u32>> {
        let value = self.value(words)?;
        let label = |text| names::number(text).filter(|label| *label <= LARGEST_LABEL);
        let labels: Option<Vec<u32>> =
            value.text.split('/').map(|text| label(text).and_then(|label| u32::try_from(label).ok())).collect();
        match labels.filter(|labels| labels.len() <= MOST_LABELS) {
            Some(labels) => Ok(labels),
            None => self.refuse(value, "invalid-number", format!("`{}` is no list of MPLS labels", value.text)),
        }
    }

    /// `A:B:C:D`, four hexadecimal numbers.
    fn locator(&mut self, words: &mut Words<'_, 't>) -> Read<u64> {
        let value = self.value(words)?;
        let parts: Option<Vec<u16>> = value.text.split(':').map(|part| u16::from_str_radix(part, 16).ok()).collect();
        match parts.as_deref() {
            Some([a, b, c, d]) => Ok([a, b, c, d].iter().fold(0, |sum, part| sum << 16 | u64::from(**part))),
            _ => self.refuse(value, "invalid-number", format!("`{}` is no locator", value.text)),
        }
    }

    /// Takes words as long as they belong to the header.
    fn tunnel_header<A: FromStr>(&mut self, words: &mut Words<'_, 't>, tos: &str, ttl: &str) -> Read<TunnelHeader<A>> {
        let mut header = TunnelHeader::default();
        while let Some(word) = words.rest_first() {
            if !["id", "dst", "src", "flags", tos, ttl].contains(&word.text) {
                break;
            }
            words.next();
            match word.text {
                "id" => header.id = Some(self.bounded(words, u64::MAX)?),
                "dst" => header.destination = Some(self.tunnel_address(words)?),
                "src" => header.source = Some(self.tunnel_address(words)?),
                "flags" => header.flags = Some(self.bounded(words, u16::MAX.into())?),
                option if option == tos => header.tos = Some(self.named(words, NameTable::Dsfield)?),
                _ => header.ttl = Some(self.bounded(words, u8::MAX.into())?),
            }
        }
        if header.id.is_none() && header.destination.is_none() {
            return self.refuse(words.last(), "missing-value", "`encap` needs `dst` or `id`".to_owned());
        }
        Ok(header)
    }

    fn tunnel_address<A: FromStr>(&mut self, words: &mut Words<'_, 't>) -> Read<A> {
        let value = self.value(words)?;
        match value.text.parse() {
            Ok(address) => Ok(address),
            Err(_) => {
                let text = format!("`{}` is not an address of the outer header's family", value.text);
                self.refuse(value, "invalid-address", text)
            }
        }
    }
}
