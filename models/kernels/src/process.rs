//! How a program that computes on the CPU sets itself up.

/// To be called once, at a program's start, by the thread that computes. Results are the same without it.
///
/// That thread becomes one of the pool's, so that no call waits for another thread to wake before it begins. And on Linux with
/// glibc, the allocator keeps what large tensors free for the next step to take: giving it back to the system and getting it
/// again page by page costs up to a fifth of training. The peak of memory stays what it is.
#[allow(unsafe_code)]
pub fn prepare() {
    // Fails if there is a pool already, which then serves.
    let _ = rayon::ThreadPoolBuilder::new().use_current_thread().build_global();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const NEVER: i32 = i32::MAX;
        // SAFETY: these calls change two numbers of the allocator; it checks them, and a refusal changes nothing.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, NEVER);
            libc::mallopt(libc::M_TRIM_THRESHOLD, NEVER);
        }
    }
}
