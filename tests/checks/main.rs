//! Pools and checkers by the real daemon in namespaces: groups of addresses, suspension, notification, reload.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test without the test attribute")]

#[path = "../common/mod.rs"]
mod common;
mod options;
mod pools;
mod threads;

use options::{every_kind_leaves_as_it_is_told, every_kind_leaves_as_it_is_told_in_ipv6};
use pools::{
    a_drained_server_finishes_its_connections, a_tracked_file_moves_the_weight_and_takes_a_server_out,
    checks_are_suspended_while_the_address_is_elsewhere, every_address_of_a_group_is_served,
    readers_of_the_fifo_hear_of_servers_and_quorums, refused_connections_suspend_a_server_ahead_of_its_check,
};
use standfast_labkit::{harness, tests};
use std::process::ExitCode;
use threads::{checks_in_real_time_stay_below_vrrp, the_threads_of_checks_are_scheduled_as_told};

fn main() -> ExitCode {
    harness::main(tests![
        every_address_of_a_group_is_served,
        checks_are_suspended_while_the_address_is_elsewhere,
        a_tracked_file_moves_the_weight_and_takes_a_server_out,
        a_drained_server_finishes_its_connections,
        readers_of_the_fifo_hear_of_servers_and_quorums,
        refused_connections_suspend_a_server_ahead_of_its_check,
        every_kind_leaves_as_it_is_told,
        every_kind_leaves_as_it_is_told_in_ipv6,
        the_threads_of_checks_are_scheduled_as_told,
        checks_in_real_time_stay_below_vrrp,
    ])
}
