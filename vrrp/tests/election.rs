//! One router against injected adverts, as traces.

mod support;

use support::*;

#[test]
fn start_waits_master_down_then_rises() {
    let mut lab = Lab::new(node_of(vec![vi("VI_1", 51, 150)]));
    assert_eq!(
        lab.run_to(9_000).take(),
        [
            "0 (VI_1) removing VIPs.",
            "0 > clear 0",
            "0 (VI_1) Entering BACKUP STATE (init)",
            "0 > notify 0 INIT->BACKUP 150",
            "3414 (VI_1) Receive advertisement timeout",
            "3414 > advert vrid 51 prio 150 to 224.0.0.18",
            "3414 (VI_1) Entering MASTER STATE",
            "3414 (VI_1) setting VIPs.",
            "3414 > set 0",
            "3414 > announce 0 x5",
            "3414 > notify 0 BACKUP->MASTER 150",
            "4414 > advert vrid 51 prio 150 to 224.0.0.18",
            "5414 > advert vrid 51 prio 150 to 224.0.0.18",
            "6414 > advert vrid 51 prio 150 to 224.0.0.18",
            "7414 > advert vrid 51 prio 150 to 224.0.0.18",
            "8414 > advert vrid 51 prio 150 to 224.0.0.18",
            "8414 > announce 0 x5",
        ]
    );
}
