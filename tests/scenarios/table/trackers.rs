//! Scripts, files and processes that vote.

use crate::script::{Scenario, alone, file, vi_1};

/// A script that is down at the start is named, and one that still runs is passed over in silence.
const NAMED: &[&str] = &["entering FAULT state", "expect idle"];
/// Processes are counted when the kernel's events are being listened to, a moment after the start.
const COUNTED_LATER: &[&str] = &["Changing effective priority"];

fn scripted(script: &str, tracked: &str) -> Vec<(&'static str, String)> {
    let block = format!("vrrp_script chk {{\n script \"DIR/chk.sh\"\n interval 1\n{script}\n}}\n");
    let one = file("", &block, &vi_1(150, &format!("track_script {{\n chk {tracked}\n }}")));
    vec![("d1", one), ("d2", file("", "", &vi_1(100, "")))]
}

fn watched(script: &str, tracked: &str) -> Scenario {
    let steps = "start d2; start d1; 7; vips; exits d1 1; 8; vips; exits d1 0; 7; vips; stop d2; 1; stop d1";
    Scenario::new(scripted(script, tracked), steps)
}

fn one_script(script: &str, steps: &str) -> Scenario {
    let mut configurations = scripted(script, "");
    configurations.truncate(1);
    Scenario::new(configurations, steps)
}

fn with_file(weight: &str) -> Scenario {
    let block = format!("track_file tf {{\n file \"DIR/value\"\n{weight}\n}}\n");
    let one = file("", &block, &vi_1(150, "track_file {\n tf\n }"));
    let steps = "write d1 value 0; start d2; start d1; 6; vips; write d1 value -60; 5; vips; write d1 value 10; 5; vips; \
                 write d1 value -254; 4; vips; rm d1 value; 5; vips; stop d2; 1; stop d1";
    Scenario::new(vec![("d1", one), ("d2", file("", "", &vi_1(100, "")))], steps)
}

/// Lines between keepalived's processes, and the farewell of a session that is stopped, which keepalived does not send.
const OF_PROCESSES: &[&str] = &[
    "Received BFD event",
    "Session parameters",
    "AdminDown",
    "Administratively Down",
    "Expired after",
    "Entering Down state",
    "entering FAULT state",
];

/// Two directors that watch each other by BFD; the first one's priority depends on it.
fn with_bfd(weight: &str, steps: &str) -> Scenario {
    let session = |own: u8, other: u8| {
        format!(
            "bfd_instance peer {{\n neighbor_ip 10.77.0.{other}\n source_ip 10.77.0.{own}\n min_rx 30\n min_tx 30\n \
             idle_tx 1000\n multiplier 3\n}}\n"
        )
    };
    let one = file("", &session(1, 2), &vi_1(150, &format!("track_bfd {{\n peer{weight}\n }}")));
    let two = file("", &session(2, 1), &vi_1(100, ""));
    Scenario::new(vec![("d1", one), ("d2", two)], format!("start d1; 0.3; start d2; 6; vips; {steps}"))
        .known(OF_PROCESSES)
}

scenarios! {
    track_script_w0: watched("fall 2\n rise 2", "");
    track_script_weight_up: watched("fall 2\n rise 2\n weight 60", "");
    track_script_weight_down: watched("fall 2\n rise 2\n weight -60", "");
    track_script_weight_253: watched("weight 253", "");
    track_script_reverse: watched("weight 60 reverse", "");
    track_script_weight_of_the_instance: watched("weight 10", "weight -60");
    track_script_init_fail: watched("init_fail", "").known(NAMED);
    track_script_timeout: one_script("timeout 2", "exits d1 exec sleep 100; start d1; 6; vips; stop d1").known(NAMED);
    track_script_signal: one_script("fall 3\n rise 2",
        "exits d1 kill -9 $$; start d1; 6; exits d1 0; 9; vips; exits d1 kill -SEGV $$; 6; vips; stop d1").known(NAMED);
    track_script_absent: one_script("", "rm d1 chk.sh; start d1; 7; vips; stop d1");
    track_script_slow: one_script("timeout 4", "exits d1 sleep 2; start d1; 12; vips; stop d1").known(NAMED);
    track_file: with_file("weight 1");
    track_file_weight_0: with_file("weight 0");
    track_file_reverse: with_file("weight 1 reverse");
    track_process: Scenario::new(
        vec![("d1", file("", "vrrp_track_process nothing {\n process no_such_process_77\n weight -20\n}\n", &vi_1(150, "track_process {\n nothing\n }")))],
        "start d1; 6; vips; stop d1").known(COUNTED_LATER);
    track_bfd: with_bfd("", "cut d1; 0.5; vips; 5; vips; mend d1; 6; vips; stop d1; stop d2");
    track_bfd_weight: with_bfd(" weight -60", "kill d2; 2; start d2; 6; vips; stop d1; stop d2");
    track_bfd_reverse: with_bfd(" weight 60 reverse", "kill d2; 6; vips; start d2; 6; vips; stop d1; stop d2");
    tracks_nothing: Scenario::new(alone(""), "start d1; 5; vips; stop d1");
}
