//! Huge pages for what a director has laid out.
#![expect(unsafe_code, reason = "madvise has no safe wrapper")]

use std::ops::Range;

/// The argument that leaves small pages as they are.
pub const SMALL: &str = "small-pages";

/// Has new regions lie on huge pages at once; the daemon leaves what is in use already to the kernel's own time.
pub fn advise(regions: [Range<usize>; 4], before: &mut [Range<usize>; 4]) {
    if regions != *before {
        regions.iter().for_each(make_huge);
        *before = regions;
    }
}

/// The same for one region.
pub fn make_huge(region: &Range<usize>) {
    const HUGE: usize = 2 << 20;
    let (start, end) = (region.start.next_multiple_of(HUGE), region.end / HUGE * HUGE);
    if start >= end || std::env::args().any(|argument| argument == SMALL) {
        return;
    }
    // SAFETY: neither advice changes any content, whatever lies there.
    let advise = |advice| unsafe { libc::madvise(std::ptr::with_exposed_provenance_mut(start), end - start, advice) };
    if advise(libc::MADV_HUGEPAGE) != 0 {
        eprintln!("huge pages: {}", std::io::Error::last_os_error());
    }
    // Refused for what was never touched, which comes huge by itself.
    advise(libc::MADV_COLLAPSE);
}
