//! Virtual services and their destinations, with ipvsadm's verbs and refusals.

mod config;
mod destination;
mod error;
mod registry;

pub use config::{DestinationConfig, Forwarding, Protocol, ServiceConfig, ServiceId, ServiceKey};
pub(crate) use destination::Destination;
pub use destination::DestinationView;
pub use error::Error;
pub use registry::ServiceView;
pub(crate) use registry::{Registry, Service};
