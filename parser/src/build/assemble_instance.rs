//! An instance from its parts.

use super::Builder;
use super::instance::InstanceDraft;
use crate::model::{Auth, Family, Garp, InitialState, VrrpInstance};
use crate::span::Span;
use std::time::Duration;

impl Builder<'_> {
    /// The instance as its keywords and the globals said it; what several of them decide together is filled in by the caller.
    pub(super) fn assemble(
        &self,
        name: &str,
        span: Span,
        virtual_router_id: u8,
        strict: bool,
        draft: InstanceDraft,
    ) -> VrrpInstance {
        let globals = &self.config.globals;
        let garp = self.garp_of(&draft, strict);
        let network = draft.network;
        let mut notify = draft.notify;
        notify.priority_changes = draft.notify_priority_changes.unwrap_or(globals.notify_priority_changes);
        VrrpInstance {
            name: name.to_owned(),
            virtual_router_id,
            state: InitialState::Backup,
            version: 2,
            family: Family::V4,
            priority: 100,
            advert_int: Duration::from_secs(1),
            auth: Auth::None,
            auth_hmac: None,
            interface: draft.interface,
            preempt: draft.nopreempt.is_none(),
            preempt_delay: draft.preempt_delay.map_or(Duration::ZERO, |d| d.0),
            addresses: draft.addresses,
            excluded_addresses: draft.excluded,
            source: draft.source.or(network.ipvlan.as_ref().and_then(|ipvlan| ipvlan.address).map(|(a, _)| a)),
            unicast_peers: draft.peers,
            unicast_ttl: draft.unicast_ttl.map(|(ttl, _)| ttl),
            check_unicast_src: draft.check_unicast_src || globals.vrrp_check_unicast_src,
            old_unicast_checksum: draft.old_unicast_checksum,
            timer_expired_backup: draft.timer_expired_backup.map(|(priority, _)| priority),
            vmac: network.vmac,
            vmac_addresses: network.vmac_addresses,
            vmac_xmit_base: network.vmac_xmit_base.is_some(),
            ipvlan: network.ipvlan,
            vrf: network.vrf.map(|(name, _)| name),
            routes: network.routes,
            rules: network.rules,
            promote_secondaries: network.promote_secondaries,
            multicast_group: network.multicast_group.map(|(group, _)| group),
            track_source: network.track_source,
            unicast_fault_no_peer: network.unicast_fault_no_peer,
            v3_checksum_as_v2: network.v3_checksum_as_v2.unwrap_or(globals.v3_checksum_as_v2),
            owner_ignore_adverts: network.owner_ignore_adverts.unwrap_or(globals.owner_ignore_adverts),
            no_virtual_ipaddress: network.no_virtual_ipaddress,
            kernel_rx_buf_size: network.kernel_rx_buf_size,
            extra_garp: network.extra_garp.or(globals.extra_garp).filter(|extra| !extra.interval.is_zero()),
            linkbeat_use_polling: network.linkbeat_use_polling,
            dual_stack: network.dual_stack,
            split_brain_notify: network.split_brain_notify,
            split_brain_heal: network.split_brain_heal,
            dont_track_primary: draft.dont_track_primary,
            track_interfaces: draft.track_interfaces,
            track_scripts: draft.track_scripts,
            garp,
            lower_prio_no_advert: draft.lower_prio_no_advert.unwrap_or(globals.lower_prio_no_advert || strict),
            higher_prio_send_advert: draft.higher_prio_send_advert.unwrap_or(globals.higher_prio_send_advert),
            accept: draft.accept.unwrap_or(!strict),
            strict,
            skip_check_adv_addr: draft.skip_check_adv_addr.unwrap_or(globals.vrrp_skip_check_adv_addr),
            down_timer_adverts: draft.down_timer_adverts.or(globals.down_timer_adverts).unwrap_or(3),
            notify,
            smtp_alert: draft.smtp_alert.or(globals.smtp_alert_vrrp).or(globals.smtp_alert).unwrap_or(false),
            track_files: draft.track_files,
            track_processes: draft.track_processes,
            track_bfds: draft.track_bfds,
            span,
        }
    }

    fn garp_of(&self, draft: &InstanceDraft, strict: bool) -> Garp {
        let lower = (self.drafts.lower_prio_delay, self.drafts.lower_prio_repeat);
        let mut garp = draft.garp.over(self.config.globals.garp, lower);
        if strict {
            garp.lower_prio_repeat = 0;
            garp.lower_prio_delay = Duration::ZERO;
        }
        garp
    }
}
