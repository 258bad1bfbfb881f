//! Settings of interfaces under `/proc/sys/net`, put back when nobody wants them any more.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// One setting of one interface, or of the whole family.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sysctl {
    /// Name of the interface; empty for a setting of the whole family.
    pub interface: String,
    /// `ipv4` or `ipv6`.
    pub family: &'static str,
    /// Name of the setting.
    pub name: &'static str,
    /// The value wanted.
    pub value: &'static str,
}

impl Sysctl {
    fn path(&self) -> PathBuf {
        match self.interface.as_str() {
            "" => ["/proc/sys/net", self.family, self.name].iter().collect(),
            interface => ["/proc/sys/net", self.family, "conf", interface, self.name].iter().collect(),
        }
    }
}

/// Settings that were changed, and what they were before.
#[derive(Debug, Default)]
pub(super) struct Sysctls {
    changed: BTreeMap<Sysctl, String>,
}

impl Sysctls {
    /// Changes what is wanted and puts the rest back.
    pub(super) fn apply(&mut self, wanted: &[Sysctl]) {
        for (setting, former) in std::mem::take(&mut self.changed) {
            match wanted.contains(&setting) {
                true => drop(self.changed.insert(setting, former)),
                false => restore(&setting, &former),
            }
        }
        for setting in wanted {
            if !self.changed.contains_key(setting) {
                self.change(setting);
            }
        }
    }

    fn change(&mut self, setting: &Sysctl) {
        let path = setting.path();
        let Ok(former) = fs::read_to_string(&path).map(|text| text.trim().to_owned()) else { return };
        if former == setting.value {
            return;
        }
        match fs::write(&path, setting.value) {
            Ok(()) => drop(self.changed.insert(setting.clone(), former)),
            Err(error) => tracing::warn!(target: "vrrp", "cannot set {} to {}: {error}", path.display(), setting.value),
        }
    }
}

/// Whoever has changed it since then knows better.
fn restore(setting: &Sysctl, former: &str) {
    let path = setting.path();
    if fs::read_to_string(&path).is_ok_and(|text| text.trim() == setting.value)
        && let Err(error) = fs::write(&path, former)
    {
        tracing::warn!(target: "vrrp", "cannot put {} back to {former}: {error}", path.display());
    }
}
