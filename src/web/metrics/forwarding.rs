//! The forwarding engine and the sync daemons.

use super::{Family, Samples, View, counter, gauge};
use crate::status::SyncDaemons;
use standfast_ipvs::DropReason;

/// Every reason from the start, so that a rate is seen from the first packet on.
fn dropped(view: &View<'_>, out: &mut Samples) {
    let Some(engine) = &view.status.engine else { return };
    for reason in DropReason::ALL.iter().map(|reason| reason.text()) {
        let counted = engine.dropped.iter().find(|(name, _)| name == reason);
        out.put(&[reason], counted.map_or(0, |(_, count)| *count));
    }
}

fn sync(view: &View<'_>, out: &mut Samples, put: impl Fn(&SyncDaemons, &mut Samples)) {
    if let Some(daemons) = &view.status.sync {
        put(daemons, out);
    }
}

pub(super) const FAMILIES: &[Family] = &[
    gauge(
        "standfast_engine_connections",
        &[],
        "Connections and persistence templates that are remembered",
        |view, out| {
            if let Some(engine) = &view.status.engine {
                out.put(&[], engine.connections);
            }
        },
    ),
    gauge(
        "standfast_engine_carried_connections",
        &[],
        "Connections of which the kernel carries the plain packets",
        |view, out| {
            if let Some(engine) = &view.status.engine {
                out.put(&[], engine.carried_connections);
            }
        },
    ),
    counter(
        "standfast_engine_carried_packets",
        &[],
        "Packets that the kernel carried past the engine; services and servers count them too",
        |view, out| {
            if let Some(engine) = &view.status.engine {
                out.put(&[], engine.carried_packets);
            }
        },
    ),
    counter(
        "standfast_engine_frames",
        &["way"],
        "Frames: `received` by the engine, `sent`, `reinjected` for the host's own stack, `overflowed` because the \
         receive ring was full, `unsent` because the kernel refused them or there is no way to the next hop",
        |view, out| {
            let Some(engine) = &view.status.engine else { return };
            for (way, count) in [
                ("received", engine.received),
                ("sent", engine.sent),
                ("reinjected", engine.reinjected),
                ("overflowed", engine.overflowed),
                ("unsent", engine.unsent),
            ] {
                out.put(&[way], count);
            }
        },
    ),
    counter("standfast_engine_dropped_packets", &["reason"], "Packets that the engine dropped", dropped),
    counter(
        "standfast_engine_ended_connections",
        &[],
        "Connections and persistence templates that `drop_entry` ended before their time",
        |view, out| {
            if let Some(engine) = &view.status.engine {
                out.put(&[], engine.ended_in_defence);
            }
        },
    ),
    counter("standfast_engine_restarts", &[], "Restarts of the engine after a fault of its own", |view, out| {
        if let Some(engine) = &view.status.engine {
            out.put(&[], engine.restarts);
        }
    }),
    gauge("standfast_sync_daemon_running", &["role"], "1 while a sync daemon runs: `master`, `backup`", |view, out| {
        sync(view, out, |daemons, out| {
            out.put(&["master"], daemons.sends);
            out.put(&["backup"], daemons.receives);
        });
    }),
    counter("standfast_sync_datagrams", &["direction"], "Datagrams of connection sync: `out`, `in`", |view, out| {
        sync(view, out, |daemons, out| {
            out.put(&["out"], daemons.sent);
            out.put(&["in"], daemons.received);
        });
    }),
    counter(
        "standfast_sync_entries_sent",
        &["result"],
        "Connections told to the other director: `sent`, or `unsent` for want of room",
        |view, out| {
            sync(view, out, |daemons, out| {
                out.put(&["sent"], daemons.entries_sent);
                out.put(&["unsent"], daemons.unsent);
            });
        },
    ),
    counter(
        "standfast_sync_entries_received",
        &["result"],
        "Connections that the other director told of, by what became of them",
        |view, out| {
            sync(view, out, |daemons, out| {
                daemons.adopted.iter().for_each(|(what, count)| out.put(&[what], *count));
            });
        },
    ),
    counter(
        "standfast_sync_refused_datagrams",
        &["reason"],
        "Datagrams of connection sync that were received and not used",
        |view, out| {
            sync(view, out, |daemons, out| {
                daemons.refused.iter().for_each(|(why, count)| out.put(&[why], *count));
            });
        },
    ),
];
