//! Virtual services and their destinations, with ipvsadm's verbs and refusals.

mod config;
mod destination;
mod error;
mod registry;
mod sources;

pub use config::{ClientTold, DestinationConfig, Forwarding, FullNat, Protocol, ServiceConfig, ServiceId, ServiceKey};
pub use destination::DestinationView;
pub(crate) use destination::{Destination, PathMtu};
pub use error::Error;
pub use registry::ServiceView;
pub(crate) use registry::{Registry, Service};
pub(crate) use sources::Sources;
