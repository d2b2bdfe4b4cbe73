//! Threads and memory of a process that computes on the CPU.

/// Prepares the process for computation. Call it once at startup, on the thread that computes; results do not depend on it.
///
/// The calling thread joins the thread pool, so that no call waits for another thread to wake up before it begins. On Linux with
/// glibc, the allocator keeps the memory of freed tensors for the next step: returning it to the system and getting it back page by
/// page costs up to a fifth of training time. Peak memory is unchanged.
#[allow(unsafe_code)]
pub fn prepare() {
    // Fails if there is a pool already, which is then used.
    let _ = rayon::ThreadPoolBuilder::new().use_current_thread().build_global();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const NEVER: i32 = i32::MAX;
        // SAFETY: these calls set two parameters of the allocator, which checks them and ignores invalid ones.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, NEVER);
            libc::mallopt(libc::M_TRIM_THRESHOLD, NEVER);
        }
    }
}

/// Returns the memory of freed tensors, which [`prepare`] keeps, to the system, so that peak memory can be measured anew. Works on Linux with
/// glibc.
#[allow(unsafe_code)]
pub fn release() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: the call returns free pages of the allocator and changes no memory in use.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

/// Runs `act` on a thread of the pool unless the current thread belongs to it.
///
/// Products that are shared among threads inside `act` then wait for no thread to wake up, which steps of a
/// [`Stream`](crate::Stream) are too short for.
pub fn pooled<R: Send>(act: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| act())
}
