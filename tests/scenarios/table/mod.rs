//! All scenarios by theme.

macro_rules! scenarios {
    ($($name:ident: $scenario:expr;)*) => {
        $(fn $name() {
            crate::run(&$crate::script::Scenario { name: stringify!($name), ..$scenario });
        })*
        pub fn tests() -> Vec<(&'static str, standfast_labkit::harness::Test)> {
            vec![$((stringify!($name), standfast_labkit::harness::Test::new(stringify!($name), $name))),*]
        }
    };
}

mod adverts;
mod elections;
mod faults;
mod life;
mod matrix;
mod strangers;
mod told;
mod trackers;

use standfast_labkit::harness::Test;

/// What is played by default: one of each kind.
const QUICK: &[&str] = &[
    "preempt",
    "inject_v2_refused",
    "sync_group_different_priorities",
    "track_script_w0",
    "v2_password",
    "v3_ipv6",
    "mails",
];

pub fn tests(all: bool) -> Vec<Test> {
    let parts = [
        elections::tests(),
        adverts::tests(),
        faults::tests(),
        trackers::tests(),
        life::tests(),
        told::tests(),
        strangers::tests(),
        matrix::tests(),
    ];
    let wanted = |(name, test): (&'static str, Test)| (all || QUICK.contains(&name)).then_some(test);
    parts.into_iter().flatten().filter_map(wanted).collect()
}
