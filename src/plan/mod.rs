//! What a reload would change on the live system, and what it would cost.
//!
//! Nothing here decides: VRRP and the pools are played on copies ([`vrrp::Rehearsal`](crate::vrrp::Rehearsal),
//! [`health::Farm`](crate::health::Farm)) by the code that carries out a reload, and their effects are written down. What is written
//! down before a reload is therefore what it does, as long as nothing else happens in between.

mod forwarding;
mod model;
mod outlook;
mod restart;
mod routers;
mod settings;
mod watchers;

pub use model::{
    Change, CheckChange, Finding, InstanceChange, Loss, LossKind, Outcome, Outlook, ServerChange, ServiceChange,
    SettingChange, WatcherChange,
};
pub use outlook::{Scene, findings, outlook};

#[cfg(test)]
mod tests;
