//! Writing dumps on request.

use super::Supervisor;
use crate::dump::{self, Sources};
use crate::vrrp::Views;
use std::time::{Instant, SystemTime};
use tracing::{info, warn};

impl Supervisor<'_> {
    pub(super) async fn dump_data(&self) {
        let pid = std::process::id();
        info!("Printing parent data for process({pid}) on signal");
        write("keepalived_parent.data", &dump::global_data(&self.config, &self.machine.host));
        if self.routers.is_some() {
            info!(target: "vrrp", "Printing VRRP data for process({pid}) on signal");
            let views = self.views().await;
            write("keepalived.data", &dump::vrrp_data(&self.sources(&views)));
        }
        let sessions = self.sessions.views().await;
        if !sessions.is_empty() {
            info!(target: "vrrp", "Printing BFD data for process({pid}) on signal");
            write("keepalived_bfd.data", &dump::bfd_data(&self.config, &self.machine.host, &sessions));
        }
        if let Some(services) = &self.services {
            info!(target: "healthcheck", "Printing checker data for process({pid}) on signal");
            let reports = services.health().reports().await;
            write("keepalived_check.data", &dump::check_data(&self.config, &self.machine.host, &reports));
        }
    }

    pub(super) async fn dump_stats(&self) {
        info!(target: "vrrp", "Printing VRRP stats for process({}) on signal", std::process::id());
        write("keepalived.stats", &dump::vrrp_stats(&self.views().await));
    }

    pub(super) async fn dump_json(&self) {
        info!(target: "vrrp", "Printing VRRP as json for process({}) on signal", std::process::id());
        let views = self.views().await;
        write("keepalived.json", &dump::vrrp_json(&self.sources(&views)));
    }

    /// `--dump-conf`.
    pub(super) async fn log_configuration(&self) {
        let views = self.views().await;
        for line in dump::vrrp_data(&self.sources(&views)).lines() {
            info!("{line}");
        }
    }

    async fn views(&self) -> Views {
        match &self.routers {
            Some(routers) => routers.views().await,
            None => Views::default(),
        }
    }

    fn sources<'a>(&'a self, views: &'a Views) -> Sources<'a> {
        let now = (Instant::now(), SystemTime::now());
        Sources { config: &self.config, views, host: &self.machine.host, now }
    }
}

fn write(name: &str, content: &str) {
    let path = dump::directory().join(name);
    if let Err(error) = dump::write_file(&path, content) {
        warn!("Cannot write {}: {error}", path.display());
    }
}
