//! Options of instances that change how adverts are sent, taken and timed.

mod common;

use common::{parse_text, summary};
use standfast_parser::Parsed;
use standfast_parser::model::{HmacMode, HmacSecret, UnicastPeer, VrrpInstance};
use std::time::Duration;

fn instance(lines: &str) -> (VrrpInstance, Parsed) {
    let text = format!(
        "vrrp_instance A {{\ninterface eth0\nvirtual_router_id 7\n{lines}\nvirtual_ipaddress {{\n10.0.0.9\n}}\n}}\n"
    );
    let parsed = parse_text(text);
    (parsed.config.instances[0].clone(), parsed)
}

fn codes(parsed: &Parsed) -> Vec<&str> {
    parsed.diagnostics.iter().map(|found| found.code).collect()
}

#[test]
fn peers_have_their_ttls() {
    let (found, parsed) = instance(
        "unicast_peer {\n10.0.0.2\n10.0.0.3 min_ttl 254\n10.0.0.4 max_ttl 9 min_ttl 1\n10.0.0.2 min_ttl 3\n}\n\
         unicast_ttl 64\ncheck_unicast_src\nold_unicast_checksum",
    );
    let peer = |last, min_ttl, max_ttl| UnicastPeer { address: [10, 0, 0, last].into(), min_ttl, max_ttl };
    assert_eq!(found.unicast_peers, [peer(2, 0, 255), peer(3, 254, 255), peer(4, 1, 9)]);
    assert_eq!((found.unicast_ttl, found.check_unicast_src, found.old_unicast_checksum), (Some(64), true, true));
    assert!(codes(&parsed).is_empty(), "{}", summary(&parsed));
    assert!(parsed.not_acted_on.is_empty(), "{:?}", parsed.not_acted_on);
}

#[test]
fn ttls_out_of_range_are_reported_and_not_used() {
    let (found, parsed) =
        instance("unicast_peer {\n10.0.0.2 min_ttl 256\n}\nunicast_ttl 256\nold_unicast_checksum never");
    assert_eq!((found.unicast_peers[0].min_ttl, found.unicast_ttl, found.old_unicast_checksum), (0, None, false));
    assert_eq!(codes(&parsed), ["out-of-range", "out-of-range"]);
}

#[test]
fn sources_are_checked_everywhere_when_the_globals_say_so() {
    let parsed = parse_text(
        "global_defs {\nvrrp_check_unicast_src\nvrrp_rt_priority 5\nvrrp_priority -7\nvrrp_no_swap\n}\n\
         vrrp_instance A {\ninterface eth0\nvirtual_router_id 7\nvirtual_ipaddress {\n10.0.0.9\n}\n}\n",
    );
    let globals = &parsed.config.globals;
    assert!(parsed.config.instances[0].check_unicast_src);
    let process = &globals.vrrp_process;
    assert_eq!((process.rt_priority, process.priority, process.no_swap), (Some(5), Some(-7), true));
    assert!(parsed.not_acted_on.is_empty(), "{:?}", parsed.not_acted_on);
}

#[test]
fn late_timers_need_nopreempt() {
    let (found, parsed) = instance("timer_expired_backup 200\nnopreempt");
    assert_eq!(found.timer_expired_backup, Some(200));
    assert!(codes(&parsed).is_empty(), "{}", summary(&parsed));
    assert_eq!(instance("timer_expired_backup\nnopreempt").0.timer_expired_backup, Some(254));
    let (found, parsed) = instance("timer_expired_backup 200");
    assert_eq!(found.timer_expired_backup, None);
    assert_eq!(codes(&parsed), ["timer-expired-backup"]);
}

#[test]
fn a_delay_of_preemption_has_fractions() {
    assert_eq!(instance("preempt_delay 2.5").0.preempt_delay.as_millis(), 2500);
}

const GROUP: &str = "vrrp_script s {\nscript /bin/true\nweight 10\n}\ntrack_file f {\nfile /x\n}\n\
    track_file g {\nfile /x\nweight 5\n}\nvrrp_track_process p {\nprocess sshd\nweight 5\n}\n\
    vrrp_instance A {\ninterface eth0\nvirtual_router_id 7\ntrack_script {\ns\n}\ntrack_file {\nf\ng\n}\n\
    track_interface {\neth1 weight 9\n}\ntrack_process {\np\n}\nvirtual_ipaddress {\n10.0.0.9\n}\n}\n\
    vrrp_instance B {\ninterface eth0\nvirtual_router_id 8\ntrack_script {\ns weight 0\n}\n\
    virtual_ipaddress {\n10.0.0.8\n}\n}\n";

#[test]
fn members_of_a_group_have_no_weights_of_their_own() {
    let parsed = parse_text(format!("{GROUP}vrrp_sync_group G {{\ngroup {{\nA\nB\n}}\n}}\n"));
    let [a, b] = &parsed.config.instances[..] else { panic!("two instances: {}", summary(&parsed)) };
    assert!(a.track_scripts.is_empty());
    assert_eq!(b.track_scripts.len(), 1);
    let weights: Vec<_> = a.track_files.iter().map(|tracked| (tracked.name.as_str(), tracked.weight)).collect();
    assert_eq!(weights, [("f", Some(0))]);
    assert_eq!((a.track_interfaces[0].weight, a.track_processes.len()), (0, 1));
    assert_eq!(
        summary(&parsed),
        "16:15 error [weight-in-group] (A) is a member of a sync group: the weight of track_interface `eth1` is taken for 0; \
         track_script `s` has a weight and is ignored; the weight of track_file `f` is taken for 0; \
         track_file `g` has a weight and is ignored"
    );
}

#[test]
fn members_keep_their_weights_when_the_group_allows_it() {
    let parsed =
        parse_text(format!("{GROUP}vrrp_sync_group G {{\nsync_group_tracking_weight\ngroup {{\nA\nB\n}}\n}}\n"));
    let a = &parsed.config.instances[0];
    assert_eq!((a.track_scripts.len(), a.track_files.len(), a.track_interfaces[0].weight), (1, 2, 9));
    assert!(codes(&parsed).is_empty(), "{}", summary(&parsed));
}

#[test]
fn keys_of_auth_hmac_have_three_forms() {
    let (plain, hex) = ("k".repeat(32), "0aFF".repeat(16));
    let (found, parsed) = instance(&format!(
        "advert_int 4\nauth_hmac {{\nkey 1 {plain}\nkey 2 hex:{hex}\nkey 3 file:/etc/key\nactive_key 2\n\
         anti_replay monotonic\nmode receive-only\n}}"
    ));
    let hmac = found.auth_hmac.unwrap();
    assert_eq!(hmac.keys.iter().map(|key| key.id).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(hmac.keys[0].secret == HmacSecret::Octets(plain.into_bytes()));
    assert!(hmac.keys[1].secret == HmacSecret::Octets([0x0a, 0xff].repeat(16)));
    assert!(hmac.keys[2].secret == HmacSecret::File("/etc/key".into()));
    assert_eq!((hmac.active_key, hmac.monotonic, hmac.mode), (2, true, HmacMode::ReceiveOnly));
    assert_eq!(hmac.time_window, Duration::from_secs(12));
    assert!(codes(&parsed).is_empty(), "{}", summary(&parsed));
    assert!(parsed.not_acted_on.is_empty(), "{:?}", parsed.not_acted_on);
}

#[test]
fn auth_hmac_without_a_usable_key_is_refused() {
    for bad in ["key 1 short", "key 1 hex:0g", "key 0 file:/x", "key 1 file:", "key 1 hex:é", ""] {
        let (found, parsed) = instance(&format!("auth_hmac {{\n{bad}\n}}"));
        assert!(found.auth_hmac.is_none(), "{bad}");
        assert!(parsed.verdict().daemon.is_some(), "{bad}: {}", summary(&parsed));
    }
    let (found, _) = instance(&format!("auth_hmac {{\nkey 1 {}\nactive_key 2\n}}", "k".repeat(32)));
    assert!(found.auth_hmac.is_none());
}

#[test]
fn a_weight_of_its_own_leaves_the_direction_of_the_tracked_thing() {
    let tracked = |options: &str| {
        let text = format!(
            "vrrp_script s {{\nscript /bin/true\nweight -30 reverse\n}}\nvrrp_instance A {{\ninterface eth0\nvirtual_router_id 7\n\
             track_script {{\ns {options}\n}}\nvirtual_ipaddress {{\n10.0.0.9\n}}\n}}\n"
        );
        let config = parse_text(text).config;
        config.instances[0].track_scripts.first().map(|tracked| tracked.weighed((-30, true)))
    };
    assert_eq!(tracked(""), Some((-30, true)));
    assert_eq!(tracked("weight 7"), Some((7, true)));
    assert_eq!(tracked("weight 7 reverse"), Some((7, true)));
    assert_eq!(tracked("weight 7 noreverse"), Some((7, false)));
    assert_eq!(tracked("reverse weight 7"), None, "a line in another order is ignored");
}
