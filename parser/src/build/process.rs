//! `global_defs`: the daemon's processes, scripts, files and sockets.

use super::item::Argument;
use super::{Builder, Item};
use crate::diagnostic::Diagnostic;
use crate::model::{LifeScript, ProcessSettings, ReceiveBuffer, ReceiveBuffers, RxBufferPolicy, Script};
use crate::names;
use crate::table::Range;
use std::time::Duration;

/// How long scripts of start and end may run.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(10);
/// keepalived's file that exists during a reload.
const RELOAD_FILE: &str = "/run/keepalived.reload";

impl<'t> Builder<'t> {
    /// Keywords that exist for each part.
    pub(super) fn process_keyword(&mut self, item: &Item<'t>) -> bool {
        let Some((part, setting)) = item.name().split_once('_') else {
            return false;
        };
        let globals = &mut self.config.globals;
        let settings = match part {
            "vrrp" => &mut globals.vrrp_process,
            "checker" | "lvs" => &mut globals.checker_process,
            "bfd" => &mut globals.bfd_process,
            _ => return false,
        };
        match setting {
            "process_name" => settings.name = item.text_value(),
            "priority" => settings.priority = item.signed_byte().or(settings.priority),
            "rt_priority" => settings.rt_priority = item.byte().or(settings.rt_priority),
            "no_swap" => settings.no_swap = true,
            "rlimit_rttime" | "rlimit_rtime" => {
                let micros = item.integer().and_then(|v| u64::try_from(v).ok());
                settings.rlimit_rttime = micros.map(Duration::from_micros).or(settings.rlimit_rttime);
            }
            "cpu_affinity" => {
                let processors = self.processors(item);
                self.process_settings(part).cpu_affinity = processors;
            }
            _ => return false,
        }
        true
    }

    fn process_settings(&mut self, part: &str) -> &mut ProcessSettings {
        let globals = &mut self.config.globals;
        match part {
            "vrrp" => &mut globals.vrrp_process,
            "bfd" => &mut globals.bfd_process,
            _ => &mut globals.checker_process,
        }
    }

    /// Numbers of processors; none at all when one of them is wrong.
    fn processors(&mut self, item: &Item<'t>) -> Vec<u32> {
        let range = Range { min: 0, max: 4095, strict: false, repair: None };
        let numbers = item.arguments().into_iter().map(|word| self.number(item.name(), word, range, 1));
        let numbers: Option<Vec<_>> = numbers.collect();
        numbers.unwrap_or_default().into_iter().filter_map(|number| u32::try_from(number).ok()).collect()
    }

    /// Keywords of the daemon as a whole.
    pub(super) fn daemon_keyword(&mut self, item: &Item<'t>) -> bool {
        let globals = &mut self.config.globals;
        match item.name() {
            "process_names" => self.process_names(),
            "process_name" => globals.process_name = item.text_value(),
            "use_symlink_paths" => globals.use_symlink_paths = item.switch(),
            "set_supplementary_groups" => globals.set_supplementary_groups = item.switch(),
            "max_auto_priority" => globals.auto_priority.most = Some(item.signed_byte().unwrap_or(99)),
            "min_auto_priority_delay" => {
                let micros = item.integer().and_then(|v| u64::try_from(v).ok());
                globals.auto_priority.delay = micros.map(Duration::from_micros).or(globals.auto_priority.delay);
            }
            "startup_script" => globals.startup_script = item.script().map(life_script),
            "shutdown_script" => globals.shutdown_script = item.script().map(life_script),
            "startup_script_timeout" => self.drafts.script_timeouts[0] = item.seconds(),
            "shutdown_script_timeout" => self.drafts.script_timeouts[1] = item.seconds(),
            "umask" => self.umask(item),
            "random_seed" => globals.random_seed = item.unsigned().or(globals.random_seed),
            "vrrp_rx_bufs_policy" => self.rx_buffer_policy(item),
            "vrrp_rx_bufs_multiplier" => {
                globals.rx_buffer_multiplier = item.unsigned().unwrap_or(globals.rx_buffer_multiplier);
            }
            "fifo_write_vrrp_states_on_reload" => globals.fifo_states_on_reload = true,
            _ => return self.receive_buffer(item) || self.file_keyword_of_globals(item),
        }
        true
    }

    fn process_names(&mut self) {
        let globals = &mut self.config.globals;
        let named = [
            (&mut globals.vrrp_process, "keepalived_vrrp"),
            (&mut globals.checker_process, "keepalived_lvs"),
            (&mut globals.bfd_process, "keepalived_bfd"),
        ];
        for (settings, name) in named {
            settings.name.get_or_insert_with(|| name.to_owned());
        }
    }

    fn file_keyword_of_globals(&mut self, item: &Item<'t>) -> bool {
        let globals = &mut self.config.globals;
        let path = || item.text_value().filter(|path| !path.is_empty());
        match item.name() {
            "state_dump_file" => globals.dumps.state = path(),
            "stats_dump_file" => globals.dumps.stats = path(),
            "json_dump_file" => globals.dumps.json = path(),
            "json_version" => globals.dumps.json_version = item.byte().or(globals.dumps.json_version),
            "data_use_instance" => globals.dumps.with_instance = item.switch(),
            "reload_time_file" => globals.reloads.time_file = path(),
            "reload_repeat" => globals.reloads.repeat = true,
            "reload_file" => globals.reloads.marker = Some(path().unwrap_or_else(|| RELOAD_FILE.to_owned())),
            _ => return false,
        }
        true
    }

    fn receive_buffer(&mut self, item: &Item<'t>) -> bool {
        let (name, force) = match item.name().strip_suffix("_force") {
            Some(name) => (name, true),
            None => (item.name(), false),
        };
        let Some(buffer) = buffer_of(&mut self.config.globals.receive_buffers, name) else {
            return false;
        };
        if force {
            buffer.force = item.switch();
        } else {
            buffer.size = item.unsigned().or(buffer.size);
        }
        true
    }

    fn rx_buffer_policy(&mut self, item: &Item<'t>) {
        let Some(word) = item.argument(0) else { return };
        let policy = match word.text.to_ascii_uppercase().as_str() {
            "MTU" => Some(RxBufferPolicy::Mtu),
            "ADVERT" => Some(RxBufferPolicy::Advert),
            _ => {
                let range = Range { min: 0, max: i128::from(u32::MAX), strict: false, repair: None };
                let size = self.number(item.name(), word, range, 1);
                size.and_then(|size| u32::try_from(size).ok()).map(RxBufferPolicy::Size)
            }
        };
        let slot = &mut self.config.globals.rx_buffer_policy;
        *slot = policy.or(*slot);
    }

    /// A number, or names of permission bits with bars between them.
    fn umask(&mut self, item: &Item<'t>) {
        let Some(first) = item.argument(0) else { return };
        let mask = if first.text.starts_with(|c: char| c.is_ascii_digit()) {
            names::number(first.text).and_then(|mask| u16::try_from(mask).ok()).filter(|mask| *mask <= 0o777)
        } else {
            named_bits(&item.arguments())
        };
        if mask.is_none() {
            let found = Diagnostic::error("invalid-umask", "this is no mask of permissions");
            let help = "a number such as 0177, or bits such as IRWXG with bars between them: IRGRP|IWGRP";
            self.report(found.at(first.span).help(help));
        }
        let slot = &mut self.config.globals.umask;
        *slot = mask.or(*slot);
    }
}

fn life_script(script: Script) -> LifeScript {
    LifeScript { script, timeout: SCRIPT_TIMEOUT }
}

fn buffer_of<'b>(buffers: &'b mut ReceiveBuffers, name: &str) -> Option<&'b mut ReceiveBuffer> {
    Some(match name {
        "vrrp_netlink_cmd_rcv_bufs" => &mut buffers.vrrp_command,
        "vrrp_netlink_monitor_rcv_bufs" => &mut buffers.vrrp_monitor,
        "lvs_netlink_cmd_rcv_bufs" => &mut buffers.lvs_command,
        "lvs_netlink_monitor_rcv_bufs" => &mut buffers.lvs_monitor,
        "process_monitor_rcv_bufs" => &mut buffers.process_monitor,
        _ => return None,
    })
}

/// `IRUSR|IWGRP`, with blanks or without.
fn named_bits(words: &[Argument<'_>]) -> Option<u16> {
    let text: String = words.iter().map(|word| word.text).collect();
    let bit = |name: &str| {
        let who = match name.get(2..)? {
            "USR" => 6,
            "GRP" => 3,
            "OTH" => 0,
            _ => return None,
        };
        let what = match name.get(..2)? {
            "IR" => 4,
            "IW" => 2,
            "IX" => 1,
            _ => return None,
        };
        Some(what << who)
    };
    text.split('|').map(bit).try_fold(0, |mask, bit| Some(mask | bit?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::Span;

    #[test]
    fn permission_bits_have_names() {
        let bits = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|text| Argument { text, span: Span::default() }).collect();
            named_bits(&words)
        };
        assert_eq!(bits(&["IRUSR"]), Some(0o400));
        assert_eq!(bits(&["IWGRP|IXOTH"]), Some(0o021));
        assert_eq!(bits(&["IWGRP", "|", "IXGRP"]), Some(0o030));
        assert_eq!(bits(&["IWGRP", "IXGRP"]), None);
        assert_eq!(bits(&["IWALL"]), None);
    }
}
