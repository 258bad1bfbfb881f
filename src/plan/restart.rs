//! Everything in the file that is neither an instance nor a virtual server.

use super::model::SettingChange;
use super::settings::differences;
use standfast_parser::model::Config;
use standfast_parser::print::print;

/// Keywords of `global_defs`, and of the top of the file, that are read at the start alone.
const AT_START: [&str; 16] = [
    "process_name",
    "instance",
    "use_pid_dir",
    "vrrp_startup_delay",
    "lvs_backend",
    "lvs_busy_poll",
    "lvs_offload",
    "net_namespace_ipvs",
    "vrrp_priority",
    "vrrp_no_swap",
    "vrrp_rt_priority",
    "vrrp_cpu_affinity",
    "checker_priority",
    "checker_no_swap",
    "checker_rt_priority",
    "checker_cpu_affinity",
];

/// What differs: first what counts at once, then what waits for a restart.
pub(super) fn others(before: &Config, after: &Config) -> (Vec<SettingChange>, Vec<SettingChange>) {
    let rest =
        |config: &Config| print(&Config { instances: Vec::new(), virtual_servers: Vec::new(), ..config.clone() });
    differences(&rest(before), &rest(after)).into_iter().partition(|change| !waits(change))
}

fn waits(change: &SettingChange) -> bool {
    let line = change.before.as_ref().or(change.after.as_ref());
    let keyword = line.and_then(|line| line.split(' ').next()).unwrap_or_default();
    matches!(change.within.as_str(), "" | "global_defs") && AT_START.contains(&keyword)
}
