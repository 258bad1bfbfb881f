//! What the host needs so that packets put back through the loopback interface are taken.

use std::fs;
use std::io;

const LOOPBACK_FILTER: &str = "/proc/sys/net/ipv4/conf/lo/rp_filter";
const ALL_FILTER: &str = "/proc/sys/net/ipv4/conf/all/rp_filter";
const STRICT: u8 = 1;

/// Loosens the source check of the loopback interface if it is strict: the source of a packet that is put back is never behind the
/// loopback. The greater of the values for `all` and for the interface counts, and 2 is loose
/// (Documentation/networking/ip-sysctl.rst).
pub(super) fn allow() {
    let strict = [ALL_FILTER, LOOPBACK_FILTER].iter().filter_map(|path| read(path)).max() == Some(STRICT);
    if !strict {
        return;
    }
    match fs::write(LOOPBACK_FILTER, "2\n") {
        Ok(()) => {
            tracing::info!(
                "net.ipv4.conf.lo.rp_filter set to 2: packets for the host's own stack come back through lo"
            );
        }
        Err(error) => warn(&error),
    }
}

fn read(path: &str) -> Option<u8> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn warn(error: &io::Error) {
    tracing::warn!(
        %error,
        "net.ipv4.conf.lo.rp_filter is strict and cannot be changed: local servers (sorry_server 127.0.0.1) will not be reached; \
         set it to 2"
    );
}
