//! The configuration as commands, and as claims.

use standfast_ipvs::{Director, ServiceKey, Settings, Timeouts};

use crate::dataplane::claim::{Claims, Flow};
use crate::dataplane::command::Command;

/// The commands that make an empty director like this one, connections apart.
pub(super) fn commands(director: &Director, timeouts: Option<Timeouts>, settings: Option<Settings>) -> Vec<Command> {
    let mut commands: Vec<_> = timeouts.map(Command::SetTimeouts).into_iter().collect();
    commands.extend(settings.map(Command::SetSettings));
    for service in director.services() {
        let id = service.config.id;
        commands.push(Command::AddService(service.config));
        // A destination goes to the head of the list, so that the last one listed was the first.
        let destinations = director.destinations(&id).unwrap_or_default();
        commands.extend(destinations.into_iter().rev().map(|d| Command::AddDestination(id, d.config)));
    }
    commands
}

/// Takes a director back to what `before` describes.
pub(super) fn restore(director: &mut Director, before: &[Command]) {
    for service in director.services() {
        if let Err(error) = director.remove_service(&service.config.id) {
            tracing::warn!(%error, "restore the configuration");
        }
    }
    for command in before {
        if let Err(error) = command.apply(director) {
            tracing::warn!(%error, ?command, "restore the configuration");
        }
    }
}

/// What has to be claimed for a director's services.
pub(super) fn claims(director: &Director, own: std::collections::BTreeSet<std::net::IpAddr>) -> Claims {
    let claims = director.claims();
    Claims {
        services: claims.services.iter().map(flow).collect(),
        servers: claims.servers.iter().map(flow).collect(),
        own,
        marks: claims.marks.iter().copied().collect(),
        sources: claims.sources.iter().copied().collect(),
    }
}

/// What either claims; the addresses of the second.
pub(super) fn union(first: &Claims, second: &Claims) -> Claims {
    Claims {
        services: first.services.union(&second.services).copied().collect(),
        servers: first.servers.union(&second.servers).copied().collect(),
        own: second.own.clone(),
        marks: first.marks.union(&second.marks).copied().collect(),
        sources: first.sources.union(&second.sources).copied().collect(),
    }
}

fn flow(key: &ServiceKey) -> Flow {
    Flow { protocol: key.protocol.number(), address: key.address, port: key.port }
}

#[cfg(test)]
mod tests {
    use standfast_ipvs::{
        DestinationConfig, Forwarding, Options, Protocol, SchedulerFlags, SchedulerKind, ServiceConfig, ServiceId,
    };

    use super::*;

    fn key(port: u16) -> ServiceKey {
        ServiceKey { protocol: Protocol::Tcp, address: "10.0.0.100".parse().unwrap(), port }
    }

    fn director(services: &[u16], servers: u8) -> Director {
        let mut director = Director::new(Options { connection_limit: 16, ..Options::default() });
        for port in services {
            let id = ServiceId::Address(key(*port));
            let config = ServiceConfig {
                id,
                scheduler: SchedulerKind::Rr,
                flags: SchedulerFlags::default(),
                persistence: None,
                one_packet: false,
                full_nat: Default::default(),
            };
            director.add_service(config).unwrap();
            for n in 1..=servers {
                let address = std::net::Ipv4Addr::new(10, 1, 0, n).into();
                let (forwarding, weight) = (if n == 1 { Forwarding::Nat } else { Forwarding::Dr }, u32::from(n));
                let config = DestinationConfig {
                    address,
                    port: 8080,
                    forwarding,
                    weight,
                    upper_threshold: 0,
                    lower_threshold: 0,
                };
                director.add_destination(&id, config).unwrap();
            }
        }
        director
    }

    #[test]
    fn replayed_commands_make_the_same_director() {
        let original = director(&[80, 443], 3);
        let mut copy = director(&[], 0);
        restore(&mut copy, &commands(&original, None, None));
        assert_eq!(commands(&copy, None, None), commands(&original, None, None));
        assert_eq!(commands(&copy, None, None).len(), 8);
    }

    #[test]
    fn a_failed_change_is_taken_back() {
        let mut director = director(&[80], 2);
        let before = commands(&director, None, None);
        director.remove_service(&key(80).into()).unwrap();
        restore(&mut director, &before);
        assert_eq!(commands(&director, None, None), before);
    }

    #[test]
    fn only_nat_servers_are_claimed() {
        let claims = claims(&director(&[80], 2), Default::default());
        let flow = |address: &str, port| Flow { protocol: 6, address: address.parse().unwrap(), port };
        assert_eq!(claims.services, [flow("10.0.0.100", 80)].into());
        assert_eq!(claims.servers, [flow("10.1.0.1", 8080)].into());
    }
}
