//! `--backend`

use burn::tensor::Device;
use clap::Args;
use seqzoo_run::{Backend, BackendError};

/// Choice of backend.
#[derive(Debug, Clone, Args)]
pub struct BackendArgs {
    /// Backend to compute with (see `seqzoo list backends`) [default: the best one with real hardware]
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
}

impl BackendArgs {
    /// The flag as given, for a printed command.
    pub fn flag(&self) -> String {
        self.backend.as_ref().map_or_else(String::new, |name| format!(" --backend {name}"))
    }

    /// Opens the backend of the flag, else the recorded one of the run if it is linked in, else the best one.
    pub fn open(&self, recorded: Option<&str>) -> Result<(Backend, Device), BackendError> {
        let backend = match (&self.backend, recorded.and_then(|name| Backend::named(name).ok())) {
            (Some(name), _) => Backend::named(name)?,
            (None, Some(recorded)) => recorded,
            (None, None) => Backend::best()?,
        };
        Ok((backend, backend.device()?))
    }
}
