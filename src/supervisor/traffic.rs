//! Tells health checking once a second how many connections failed at each destination (`passive_health`).

use crate::dataplane;
use crate::health::Failing;
use standfast_ipvs::Failures;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

const PACE: Duration = Duration::from_secs(1);

/// Ends when it is dropped, or with the data plane.
#[derive(Debug)]
pub(super) struct TrafficWatch(JoinHandle<()>);

impl TrafficWatch {
    pub(super) fn start(engine: dataplane::Handle, tell: impl Fn(Vec<Failing>) + Send + 'static) -> Self {
        Self(tokio::spawn(async move {
            let mut pace = tokio::time::interval(PACE);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                pace.tick().await;
                let Ok(snapshot) = engine.snapshot().await else { return };
                tell(counts(&snapshot));
            }
        }))
    }
}

impl Drop for TrafficWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn counts(snapshot: &dataplane::Snapshot) -> Vec<Failing> {
    let all = |failures: Failures| failures.refused + failures.reset + failures.silent;
    let of = |service: &dataplane::ServiceSnapshot| {
        let id = service.service.config.id;
        let failing = |view: &standfast_ipvs::DestinationView| Failing {
            service: id,
            server: SocketAddr::new(view.config.address, view.config.port),
            total: all(view.failures),
        };
        service.destinations.iter().map(failing).collect::<Vec<_>>()
    };
    snapshot.services.iter().flat_map(of).collect()
}
