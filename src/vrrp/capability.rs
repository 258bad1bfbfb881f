//! What the process must be allowed to do.

const CAP_NET_ADMIN: u32 = 12;
const CAP_NET_RAW: u32 = 13;

/// A capability that VRRP cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("VRRP needs the capability {name} to {purpose}; run as root or grant it (systemd: AmbientCapabilities={name})")]
pub struct MissingCapability {
    name: &'static str,
    purpose: &'static str,
}

const NEEDED: [(u32, MissingCapability); 2] = [
    (CAP_NET_ADMIN, MissingCapability { name: "CAP_NET_ADMIN", purpose: "set virtual addresses" }),
    (CAP_NET_RAW, MissingCapability { name: "CAP_NET_RAW", purpose: "send adverts and gratuitous ARPs" }),
];

/// Checks the calling thread. Where the kernel does not tell, the first refused operation will.
pub(super) fn check() -> Result<(), MissingCapability> {
    match std::fs::read_to_string("/proc/thread-self/status").ok().as_deref().and_then(effective) {
        Some(set) => check_set(set),
        None => Ok(()),
    }
}

fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn check_set(set: u64) -> Result<(), MissingCapability> {
    let missing = NEEDED.iter().find(|(bit, _)| set & (1 << bit) == 0);
    missing.map_or(Ok(()), |(_, missing)| Err(*missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_missing_capability_is_named() {
        let set = |status| check_set(effective(status).expect("a set"));
        assert_eq!(set("Name:\tx\nCapEff:\t000001ffffffffff\n"), Ok(()));
        let error = set("CapEff:\t0000000000001000\n").expect_err("no CAP_NET_RAW");
        assert!(error.to_string().starts_with("VRRP needs the capability CAP_NET_RAW to send adverts"), "{error}");
        assert!(set("CapEff:\t0000000000002000\n").is_err());
        assert_eq!(effective("Name:\tx\n"), None);
    }
}
