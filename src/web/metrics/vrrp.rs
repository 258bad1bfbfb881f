//! VRRP instances, their trackers, sync groups, BFD sessions.

use super::{Family, Samples, Value, View, counter, gauge, info, seconds};
use crate::status::{Instance, Session};

const INSTANCE: &[&str] = &["vrrp_instance"];
const TRACKER: &[&str] = &["vrrp_instance", "tracker"];
const STATES: [&str; 4] = ["INIT", "BACKUP", "MASTER", "FAULT"];
const EFFECTS: [&str; 3] = ["adjust", "fault", "pending"];

fn each(view: &View<'_>, out: &mut Samples, value: impl Fn(&Instance) -> Value) {
    view.status.instances.iter().for_each(|instance| out.put(&[&instance.name], value(instance)));
}

fn each_some(view: &View<'_>, out: &mut Samples, value: impl Fn(&Instance) -> Option<Value>) {
    for instance in &view.status.instances {
        if let Some(value) = value(instance) {
            out.put(&[&instance.name], value);
        }
    }
}

fn each_session(view: &View<'_>, out: &mut Samples, value: impl Fn(&Session) -> Value) {
    view.status.sessions.iter().for_each(|session| out.put(&[&session.name], value(session)));
}

/// Rejected adverts by what was wrong with them.
fn errors(instance: &Instance) -> [(&'static str, u64); 9] {
    let counters = &instance.statistics;
    [
        ("length", counters.packet_len_err),
        ("interval", counters.advert_interval_err),
        ("ttl", counters.ip_ttl_err),
        ("type", counters.invalid_type_rcvd),
        ("checksum", counters.chk_err),
        ("addresses", counters.addr_list_err),
        ("authentication_unknown", counters.invalid_authtype),
        ("authentication_mismatch", counters.authtype_mismatch),
        ("authentication_failure", counters.auth_failure),
    ]
}

pub(super) const FAMILIES: &[Family] = &[
    info(
        "standfast_vrrp_instance",
        &["vrrp_instance", "interface", "vrid", "family", "protocol", "sync_group"],
        "What an instance is; `family` is 4 or 6, `protocol` 2 or 3, `sync_group` empty without one",
        |view, out| {
            for instance in &view.status.instances {
                let Instance { name, interface, vrid, family, protocol, group, .. } = instance;
                let (vrid, family, protocol) = (vrid.to_string(), family.to_string(), protocol.to_string());
                let group = group.as_deref().unwrap_or_default();
                out.put(&[name, interface, &vrid, &family, &protocol, group], 1);
            }
        },
    ),
    gauge(
        "standfast_vrrp_state",
        &["vrrp_instance", "state"],
        "1 for the state that an instance is in, 0 for the others: `INIT`, `BACKUP`, `MASTER`, `FAULT`",
        |view, out| {
            for instance in &view.status.instances {
                out.put_states(&[&instance.name], &STATES, &instance.state);
            }
        },
    ),
    gauge(
        "standfast_vrrp_state_since_timestamp_seconds",
        INSTANCE,
        "When the state changed last, since 1970",
        |view, out| each_some(view, out, |instance| instance.history.last().map(|change| seconds(change.at_ms))),
    )
    .seconds(),
    gauge("standfast_vrrp_priority", INSTANCE, "Priority with every vote", |view, out| {
        each(view, out, |instance| u64::from(instance.effective_priority).into());
    }),
    gauge("standfast_vrrp_base_priority", INSTANCE, "Configured priority", |view, out| {
        each(view, out, |instance| u64::from(instance.base_priority).into());
    }),
    gauge("standfast_vrrp_addresses", INSTANCE, "Virtual addresses, excluded ones included", |view, out| {
        each(view, out, |instance| ((instance.addresses.len() + instance.excluded_addresses.len()) as u64).into());
    }),
    gauge("standfast_vrrp_advert_interval_seconds", INSTANCE, "Interval of adverts that counts", |view, out| {
        each(view, out, |instance| seconds(instance.advert_interval_ms));
    })
    .seconds(),
    gauge(
        "standfast_vrrp_master_down_seconds",
        INSTANCE,
        "Silence after which a master counts as gone",
        |view, out| each(view, out, |instance| seconds(instance.master_down_ms)),
    )
    .seconds(),
    counter("standfast_vrrp_became_master", INSTANCE, "Times that MASTER was entered", |view, out| {
        each(view, out, |instance| instance.statistics.become_master.into());
    }),
    counter("standfast_vrrp_released_master", INSTANCE, "Times that MASTER was left", |view, out| {
        each(view, out, |instance| instance.statistics.release_master.into());
    }),
    counter("standfast_vrrp_adverts_received", INSTANCE, "Adverts accepted", |view, out| {
        each(view, out, |instance| instance.statistics.advert_rcvd.into());
    }),
    counter("standfast_vrrp_adverts_sent", INSTANCE, "Adverts sent, each destination counted", |view, out| {
        each(view, out, |instance| instance.statistics.advert_sent.into());
    }),
    counter(
        "standfast_vrrp_priority_zero_received",
        INSTANCE,
        "Adverts with priority 0 heard: a master resigned",
        |view, out| each(view, out, |instance| instance.statistics.pri_zero_rcvd.into()),
    ),
    counter("standfast_vrrp_priority_zero_sent", INSTANCE, "Adverts with priority 0 sent", |view, out| {
        each(view, out, |instance| instance.statistics.pri_zero_sent.into());
    }),
    counter(
        "standfast_vrrp_errors",
        &["vrrp_instance", "kind"],
        "Adverts rejected: `length`, `interval`, `ttl`, `type`, `checksum`, `addresses`, `authentication_unknown`, \
         `authentication_mismatch`, `authentication_failure`",
        |view, out| {
            for instance in &view.status.instances {
                errors(instance).iter().for_each(|(kind, count)| out.put(&[&instance.name, kind], *count));
            }
        },
    ),
    counter(
        "standfast_vrrp_announcements",
        INSTANCE,
        "Gratuitous ARPs and unsolicited neighbour advertisements sent",
        |view, out| each_some(view, out, |instance| instance.announcements.map(Value::from)),
    ),
    gauge(
        "standfast_vrrp_rival_heard_timestamp_seconds",
        INSTANCE,
        "When a second master was heard last while this one is master; absent when none was",
        |view, out| each_some(view, out, |instance| instance.rival.as_ref().map(|rival| seconds(rival.heard_at_ms))),
    )
    .seconds(),
    gauge(
        "standfast_vrrp_tracker_effect",
        &["vrrp_instance", "tracker", "effect"],
        "1 for what a tracker does to an instance: `adjust` its priority, hold it in `fault`, or `pending` before the first verdict",
        |view, out| {
            for instance in &view.status.instances {
                for vote in &instance.votes {
                    out.put_states(&[&instance.name, &vote.tracker], &EFFECTS, &vote.effect);
                }
            }
        },
    ),
    gauge("standfast_vrrp_tracker_adjustment", TRACKER, "What a tracker adds to the priority", |view, out| {
        for instance in &view.status.instances {
            for vote in &instance.votes {
                out.put(&[&instance.name, &vote.tracker], vote.adjustment);
            }
        }
    }),
    gauge(
        "standfast_vrrp_sync_group_state",
        &["sync_group", "state"],
        "1 for the state that all members of a group are in, 0 for the others",
        |view, out| {
            for group in &view.status.groups {
                out.put_states(&[&group.name], &STATES, &group.state);
            }
        },
    ),
    gauge("standfast_bfd_session_up", &["session"], "1 while a BFD session is up", |view, out| {
        each_session(view, out, |session| (session.state == "Up").into());
    }),
    gauge(
        "standfast_bfd_session_since_timestamp_seconds",
        &["session"],
        "When the session's state changed last, since 1970",
        |view, out| each_session(view, out, |session| seconds(session.since_at_ms)),
    )
    .seconds(),
];
