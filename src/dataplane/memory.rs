//! The memory of the host, and advice about that of the tables.
#![expect(unsafe_code, reason = "madvise and sysinfo have no safe wrappers")]

use std::ops::Range;
use std::ptr::NonNull;

use nix::sys::mman::{MmapAdvise, madvise};

const HUGE: usize = 2 << 20;

/// Asks for huge pages within these addresses, which must be this process's memory. Pages in use are put together by the
/// kernel in the background, later ones come huge at once.
pub(super) fn prefer_huge_pages(regions: &[Range<usize>]) {
    for region in regions {
        let (start, end) = (region.start.next_multiple_of(HUGE), region.end / HUGE * HUGE);
        let Some(address) = NonNull::new(std::ptr::with_exposed_provenance_mut(start)).filter(|_| start < end) else {
            continue;
        };
        // SAFETY: this advice changes no content and takes no page away, whatever lies there.
        if let Err(error) = unsafe { madvise(address, end - start, MmapAdvise::MADV_HUGEPAGE) } {
            tracing::debug!(%error, "huge pages for the tables of connections");
        }
    }
}

/// Pages that the host has free, counted as the kernel's IPVS does: free and buffer memory.
pub(super) fn free_pages() -> Option<u64> {
    // SAFETY: all-zero is a valid value.
    let mut info: libc::sysinfo = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills in the structure that it is given.
    if unsafe { libc::sysinfo(&raw mut info) } != 0 {
        return None;
    }
    // SAFETY: no pointer is passed.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok().filter(|page| *page > 0)?;
    Some((info.freeram + info.bufferram) * u64::from(info.mem_unit) / page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_runs_tests_has_memory_free_but_not_all_of_it() {
        let total = std::fs::read_to_string("/proc/meminfo").unwrap();
        let total: u64 = total.split_whitespace().nth(1).unwrap().parse().unwrap();
        let free = free_pages().unwrap();
        assert!(free > 0 && free < total / 4, "{free} pages of {total} KiB");
    }

    #[test]
    fn advice_leaves_contents_alone() {
        let table = vec![7u8; 5 << 20];
        let start = table.as_ptr().addr();
        prefer_huge_pages(&[start..start + table.len(), 0..0, start..start + 4096]);
        assert!(table.iter().all(|byte| *byte == 7));
    }
}
