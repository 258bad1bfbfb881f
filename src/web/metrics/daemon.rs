//! The process, its configuration, and those who are told.

use super::{Family, counter, gauge, info, seconds};

const RESULT: &[&str] = &["result"];

pub(super) const FAMILIES: &[Family] = &[
    info("standfast_build", &["version"], "Version of the daemon", |view, out| {
        let version = view.status.version.trim_start_matches("Standfast v");
        out.put(&[version], 1);
    }),
    gauge("process_start_time_seconds", &[], "When the daemon started, since 1970", |view, out| {
        out.put(&[], seconds(view.status.started_at_ms));
    })
    .seconds(),
    counter("process_cpu_seconds", &[], "Processor time of all threads", |view, out| {
        if let Some(time) = view.process.cpu {
            out.put(&[], time);
        }
    })
    .seconds(),
    gauge("process_resident_memory_bytes", &[], "Memory in use", |view, out| {
        if let Some(bytes) = view.process.resident {
            out.put(&[], bytes);
        }
    })
    .bytes(),
    gauge("process_open_fds", &[], "Open descriptors", |view, out| {
        if let Some(open) = view.process.descriptors {
            out.put(&[], open);
        }
    }),
    gauge("process_max_fds", &[], "Descriptors that may be open", |view, out| {
        if let Some(most) = view.process.most_descriptors {
            out.put(&[], most);
        }
    }),
    gauge("process_threads", &[], "Threads", |view, out| {
        if let Some(threads) = view.process.threads {
            out.put(&[], threads);
        }
    }),
    gauge(
        "standfast_configuration_applied_timestamp_seconds",
        &[],
        "When the running configuration was applied, by the start or a reload",
        |view, out| out.put(&[], seconds(view.status.configured_at_ms)),
    )
    .seconds(),
    counter(
        "standfast_reloads",
        RESULT,
        "Reloads: `applied`, or `refused` because of faults, which leaves everything as it was",
        |view, out| {
            out.put(&["applied"], view.status.reloads.applied);
            out.put(&["refused"], view.status.reloads.refused);
        },
    ),
    counter("standfast_events", &[], "Events written into the journal", |view, out| {
        out.put(&[], view.status.latest_event);
    }),
    counter(
        "standfast_notify_scripts",
        RESULT,
        "Notification scripts: `ok` ended with status 0, `failed` ended otherwise or could not be started",
        |view, out| {
            out.put(&["ok"], view.status.notifications.scripts_ended);
            out.put(&["failed"], view.status.notifications.scripts_failed);
        },
    ),
    counter(
        "standfast_mails",
        RESULT,
        "Mails: `sent` were taken by the mail server, `failed` were not, or were dropped because it is slow",
        |view, out| {
            out.put(&["sent"], view.status.notifications.mails_sent);
            out.put(&["failed"], view.status.notifications.mails_failed);
        },
    ),
    counter("standfast_fifo_records_lost", &[], "Records that found no room in a notify FIFO", |view, out| {
        out.put(&[], view.status.notifications.records_lost);
    }),
];
