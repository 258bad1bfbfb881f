//! Reads the words of a line one after the other.

use super::Builder;
use super::item::Argument;
use super::named::Kind;
use crate::Need;
use crate::diagnostic::Diagnostic;
use crate::model::Family;
use crate::names::{self, NameTable};
use crate::value::{address_and_prefix, full_prefix};
use ipnet::IpNet;
use std::net::IpAddr;

/// A line whose entry cannot be used; the reason has been reported.
pub(super) struct Refused;

pub(super) type Read<T> = Result<T, Refused>;

/// The words of a line from some point on.
pub(super) struct Words<'a, 't> {
    rest: &'a [Argument<'t>],
    last: Argument<'t>,
}

impl<'a, 't> Words<'a, 't> {
    /// `None` for a line without words.
    pub(super) fn new(line: &'a [Argument<'t>]) -> Option<Self> {
        Some(Self { rest: line, last: *line.first()? })
    }

    pub(super) fn next(&mut self) -> Option<Argument<'t>> {
        let (first, rest) = self.rest.split_first()?;
        (self.rest, self.last) = (rest, *first);
        Some(*first)
    }

    pub(super) fn peek(&self) -> Option<&'t str> {
        self.rest.first().map(|word| word.text)
    }

    /// The word that [`Self::next`] gave last, or the first one.
    pub(super) fn last(&self) -> Argument<'t> {
        self.last
    }

    /// The word that [`Self::next`] would give.
    pub(super) fn rest_first(&self) -> Option<Argument<'t>> {
        self.rest.first().copied()
    }

    /// Takes the next word when it is this one.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let same = self.peek() == Some(text);
        if same {
            self.next();
        }
        same
    }
}

impl<'t> Builder<'t> {
    /// Reports why an entry cannot be used.
    pub(super) fn refuse<T>(&mut self, at: Argument<'t>, code: &'static str, text: String) -> Read<T> {
        let help = "the whole line is ignored";
        self.report(Diagnostic::error(code, text).at(at.span).help(help));
        Err(Refused)
    }

    /// The value of an option.
    pub(super) fn value(&mut self, words: &mut Words<'_, 't>) -> Read<Argument<'t>> {
        let option = words.last;
        match words.next() {
            Some(value) => Ok(value),
            None => self.refuse(option, "missing-value", format!("`{}` needs a value", option.text)),
        }
    }

    pub(super) fn text_of(&mut self, words: &mut Words<'_, 't>) -> Read<String> {
        self.value(words).map(|value| value.text.to_owned())
    }

    /// An interface that a route or a rule needs.
    pub(super) fn device_of(&mut self, words: &mut Words<'_, 't>, what: &str) -> Read<String> {
        let value = self.value(words)?;
        self.mention(&value, format!("a {what}"), Need::Line);
        Ok(value.text.to_owned())
    }

    /// A number of base 8, 10 or 16 up to `most`.
    pub(super) fn bounded<N: TryFrom<u64>>(&mut self, words: &mut Words<'_, 't>, most: u64) -> Read<N> {
        let option = words.last.text;
        let value = self.value(words)?;
        let number = names::number(value.text).filter(|number| *number <= most);
        match number.and_then(|number| N::try_from(number).ok()) {
            Some(number) => Ok(number),
            None => {
                let text = format!("`{}` is not a number of 0 to {most}, which `{option}` needs", value.text);
                self.refuse(value, "invalid-number", text)
            }
        }
    }

    /// A number or a name of the machine's tables.
    pub(super) fn named<N: TryFrom<u32>>(&mut self, words: &mut Words<'_, 't>, table: NameTable) -> Read<N> {
        let value = self.value(words)?;
        match self.look_up(table, value.text).and_then(|number| N::try_from(number).ok()) {
            Some(number) => Ok(number),
            None => {
                let text = format!("there is no {} `{}`", table.what(), value.text);
                self.refuse(value, "unknown-name", text)
            }
        }
    }

    pub(super) fn look_up(&self, table: NameTable, text: &str) -> Option<u32> {
        if let Some(number) = names::number(text) {
            return u32::try_from(number).ok().filter(|number| *number <= table.most());
        }
        names::built_in(table, text).or_else(|| (self.options.names)(table, text)).filter(|n| *n <= table.most())
    }

    /// `FROM/TO` or `TO`.
    pub(super) fn realms(&mut self, words: &mut Words<'_, 't>) -> Read<u32> {
        let value = self.value(words)?;
        let (from, to) = value.text.split_once('/').unwrap_or(("0", value.text));
        match self.look_up(NameTable::Realm, from).zip(self.look_up(NameTable::Realm, to)) {
            Some((from, to)) => Ok(from << 16 | to),
            None => self.refuse(value, "unknown-name", format!("there is no realm `{}`", value.text)),
        }
    }

    /// An address of the family that is known already, if one is; the family is known afterwards.
    pub(super) fn address_of(&mut self, words: &mut Words<'_, 't>, family: &mut Option<Family>) -> Read<IpAddr> {
        let value = self.value(words)?;
        match value.text.parse() {
            Ok(address) => {
                self.same_family(value, family, family_of(address))?;
                Ok(address)
            }
            Err(_) => self.refuse(value, "invalid-address", format!("`{}` is not an IP address", value.text)),
        }
    }

    /// `ADDRESS[/LENGTH]`; `None` for `default`, `any` and `all`.
    pub(super) fn network(&mut self, value: Argument<'t>, family: &mut Option<Family>) -> Read<Option<IpNet>> {
        if matches!(value.text, "default" | "any" | "all") {
            return Ok(None);
        }
        if value.text == "default6" {
            self.same_family(value, family, Family::V6)?;
            return Ok(None);
        }
        let (address, prefix) = address_and_prefix(value.text);
        let Some(address) = address else {
            return self.refuse(value, "invalid-address", format!("`{}` is not an address or network", value.text));
        };
        self.same_family(value, family, family_of(address))?;
        let length = prefix.map_or(Some(full_prefix(address)), |text| text.parse().ok());
        match length.and_then(|length| IpNet::new(address, length).ok()) {
            Some(network) => Ok(Some(network)),
            None => self.refuse(value, "invalid-prefix", format!("`{}` has no valid prefix length", value.text)),
        }
    }

    /// Fixes the family of an entry, or refuses a second one.
    pub(super) fn same_family(&mut self, at: Argument<'t>, known: &mut Option<Family>, family: Family) -> Read<()> {
        if known.is_some_and(|known| known != family) {
            return self.refuse(at, "mixed-families", format!("`{}` mixes IPv4 and IPv6", at.text));
        }
        *known = Some(family);
        Ok(())
    }

    /// The group of instances that a static entry names, when it exists.
    pub(super) fn track_group_name(&mut self, words: &mut Words<'_, 't>) -> Read<Option<String>> {
        let value = self.value(words)?;
        Ok(self.group_of_static(value))
    }

    /// A track group that exists.
    pub(super) fn group_of_static(&mut self, value: Argument<'t>) -> Option<String> {
        if self.named.index(Kind::TrackGroup, value.text).is_some() {
            return Some(value.text.to_owned());
        }
        let text = format!("there is no track_group `{}` above this line", value.text);
        self.report(Diagnostic::error("unknown-track-group", text).at(value.span).help("the option is ignored"));
        None
    }
}

pub(super) fn family_of(address: IpAddr) -> Family {
    if address.is_ipv4() { Family::V4 } else { Family::V6 }
}
