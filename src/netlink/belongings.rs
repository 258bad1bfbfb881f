//! What a virtual router sets while it is master, or the daemon while it runs.

use super::address::AddressSpec;
use super::route::RouteSpec;
use super::rule::RuleSpec;

/// Addresses, routes and rules that come and go together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Belongings {
    /// Addresses; for a virtual router the advertised ones first.
    pub addresses: Vec<AddressSpec>,
    /// Routes, set behind the addresses and removed before them.
    pub routes: Vec<RouteSpec>,
    /// Rules, set behind the routes and removed before them.
    pub rules: Vec<RuleSpec>,
    /// `no_accept`: packets to and from the addresses are dropped.
    pub no_accept: bool,
}

impl Belongings {
    /// Addresses alone.
    #[must_use]
    pub fn of(addresses: Vec<AddressSpec>) -> Self {
        Self { addresses, ..Self::default() }
    }

    /// What these have and `others` have not.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        Self {
            addresses: missing(&self.addresses, &others.addresses),
            routes: missing(&self.routes, &others.routes),
            rules: missing(&self.rules, &others.rules),
            no_accept: self.no_accept,
        }
    }

    /// Every interface on which something is tracked: without it, the owner cannot do its work.
    pub fn tracked_interfaces(&self) -> impl Iterator<Item = &str> {
        let addresses = self.addresses.iter().filter(|spec| spec.is_tracked()).map(|spec| spec.interface.as_str());
        let routes = self.routes.iter().filter(|spec| spec.is_tracked()).flat_map(RouteSpec::interfaces);
        let rules = self.rules.iter().filter(|spec| spec.is_tracked()).filter_map(RuleSpec::interface);
        addresses.chain(routes).chain(rules)
    }

    /// Every interface that is named.
    pub fn interfaces(&self) -> impl Iterator<Item = &str> {
        let addresses = self.addresses.iter().map(|spec| spec.interface.as_str());
        addresses.chain(self.routes.iter().flat_map(RouteSpec::interfaces))
    }

    /// Whether there are routes or rules.
    #[must_use]
    pub fn has_policy(&self) -> bool {
        !(self.routes.is_empty() && self.rules.is_empty())
    }
}

fn missing<T: Clone + PartialEq>(these: &[T], others: &[T]) -> Vec<T> {
    these.iter().filter(|one| !others.contains(one)).cloned().collect()
}
