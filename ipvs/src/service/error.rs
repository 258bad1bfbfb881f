//! Refusals, in the words of ipvsadm.

use std::fmt;

/// Why a change of services or destinations was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The service to be added exists.
    ServiceExists,
    /// The service to be changed does not exist.
    NoSuchService,
    /// The destination to be added exists.
    DestinationExists,
    /// The destination to be changed does not exist.
    NoSuchDestination,
    /// The lower threshold is above the upper, or the weight above 2^31 - 1.
    OutOfRange,
    /// The destination's address is of another family than the service's.
    FamilyMismatch,
    /// A destination behind full NAT, and a service without source addresses of its family.
    NoSource,
    /// Port 0 without persistence.
    ZeroPort,
    /// One-packet scheduling of a protocol other than UDP.
    OnePacketNeedsUdp,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::ServiceExists => "Service already exists",
            Error::NoSuchService => "No such service",
            Error::DestinationExists => "Destination already exists",
            Error::NoSuchDestination => "No such destination",
            Error::OutOfRange => "Numerical result out of range",
            Error::FamilyMismatch => "Destination and service are of different address families",
            Error::NoSource => "Full NAT needs a source pool of the service's address family",
            Error::ZeroPort => "Zero port specified for non-persistent service",
            Error::OnePacketNeedsUdp => "One-Packet Scheduling is only for UDP virtual services",
        })
    }
}

impl std::error::Error for Error {}
