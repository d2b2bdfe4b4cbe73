//! Memory of this process.

use std::fs;

/// Peak resident memory in bytes; `None` where the operating system does not report it.
pub fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(1024 * line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?)
}

/// Measures peak memory anew, without the memory of what was freed; false where the operating system does not support it.
pub fn reset_peak_memory() -> bool {
    seqzoo_kernels::release();
    // See proc(5).
    fs::write("/proc/self/clear_refs", "5").is_ok()
}
