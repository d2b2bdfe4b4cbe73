//! Signals that end long commands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::{Failure, STORAGE};

/// SIGINT, SIGTERM and SIGHUP: the first one saves and stops training within one step; a second one ends the program at
/// once, and loses nothing that was saved.
pub struct Signals {
    raised: Arc<AtomicBool>,
    which: Arc<AtomicUsize>,
}

impl Signals {
    pub fn listen() -> Result<Self, Failure> {
        let signals = Self { raised: Arc::default(), which: Arc::default() };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let listen = || {
                // The order matters: the first signal must find `raised` unset, the second must find it set.
                flag::register_conditional_shutdown(signal, 128 + signal, signals.raised.clone())?;
                flag::register_usize(signal, signals.which.clone(), signal as usize)?;
                flag::register(signal, signals.raised.clone())
            };
            listen().map_err(|error| Failure::new(STORAGE, format!("cannot listen for signals: {error}")))?;
        }
        Ok(signals)
    }

    /// Whether a signal arrived.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }

    /// A flag that a signal sets.
    pub fn raised(&self) -> &AtomicBool {
        &self.raised
    }

    /// Exit code 128 plus the signal's number, as in shells, with the command that resumes.
    pub fn failure(&self, resume: &str) -> Failure {
        self.stopped(format_args!("saved; resume with `{resume}`"))
    }

    /// Exit code 128 plus the signal's number, as in shells, with a message.
    pub fn stopped(&self, message: impl std::fmt::Display) -> Failure {
        let code = 128 + u8::try_from(self.which.load(Ordering::Relaxed)).unwrap_or(0);
        Failure::new(code, message)
    }
}
