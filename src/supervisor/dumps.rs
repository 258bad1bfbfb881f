//! Writing dumps on request.

use super::Supervisor;
use super::virtual_routers::VirtualRouters;
use crate::dump::{self, Dump, Sources};
use crate::notify::command::ScriptPolicy;
use crate::vrrp::Views;
use std::time::{Instant, SystemTime};
use tracing::{info, warn};

impl Supervisor<'_> {
    pub(super) async fn dump_data(&self) {
        let pid = std::process::id();
        info!("Printing parent data for process({pid}) on signal");
        self.write_dump(Dump::Parent, &dump::global_data(&self.config, &self.machine.host));
        if self.routers.is_some() {
            info!(target: "vrrp", "Printing VRRP data for process({pid}) on signal");
            self.write_dump(Dump::Vrrp, &self.with_sources(dump::vrrp_data).await);
        }
        let sessions = self.sessions.views().await;
        if !sessions.is_empty() {
            info!(target: "vrrp", "Printing BFD data for process({pid}) on signal");
            self.write_dump(Dump::Bfd, &dump::bfd_data(&self.config, &self.machine.host, &sessions));
        }
        if let Some(services) = &self.services {
            info!(target: "healthcheck", "Printing checker data for process({pid}) on signal");
            let reports = services.health().reports().await;
            self.write_dump(Dump::Checkers, &dump::check_data(&self.config, &self.machine.host, &reports));
        }
    }

    pub(super) async fn dump_stats(&self) {
        info!(target: "vrrp", "Printing VRRP stats for process({}) on signal", std::process::id());
        self.write_dump(Dump::Statistics, &dump::vrrp_stats(&self.views().await));
    }

    pub(super) async fn dump_json(&self) {
        info!(target: "vrrp", "Printing VRRP as json for process({}) on signal", std::process::id());
        self.write_dump(Dump::Json, &self.with_sources(dump::vrrp_json).await);
    }

    /// `--dump-conf`.
    pub(super) async fn log_configuration(&self) {
        for line in self.with_sources(dump::vrrp_data).await.lines() {
            info!("{line}");
        }
    }

    async fn views(&self) -> Views {
        match &self.routers {
            Some(routers) => routers.views().await,
            None => Views::default(),
        }
    }

    async fn with_sources(&self, make: impl FnOnce(&Sources<'_>) -> String) -> String {
        let views = self.views().await;
        let observed = self.routers.as_ref().map(VirtualRouters::observed).unwrap_or_default();
        let policy = ScriptPolicy::new(&self.config.globals);
        make(&Sources {
            config: &self.config,
            views: &views,
            observed: &observed,
            policy: &policy,
            host: &self.machine.host,
            now: (Instant::now(), SystemTime::now()),
        })
    }

    fn write_dump(&self, dump: Dump, content: &str) {
        let path = dump.path(&self.config.globals);
        if let Err(error) = dump::write_file(&path, content) {
            warn!("Cannot write {}: {error}", path.display());
        }
    }
}
