//! What a run *is*: the recipe it follows, its folder and lock, its checkpoints, its task. Training writes runs,
//! inference reads them; both import this package and neither the other.
//!
//! ```text
//! runs/agreement-1/                 one run
//!   recipe.toml                     resolved, with the origin of each value
//!   env.json                        version, backend, threads, seed, digest of the data
//!   lock                            held while a process trains; the system releases it if that process dies
//!   lstm/                           one folder a model
//!     metrics.jsonl  events.jsonl   measurements and decisions, a line each
//!     timing.jsonl                  clock values, kept apart so that metrics are reproducible to the bit
//!     checkpoints/step-00001234/    one commit: weights, optimizer, state, encoder, manifest
//! runs/elsewhere.jsonl              runs made with --out, by which `last` finds them
//! ```

pub mod checkpoint;
pub mod disk;
pub mod faults;
pub mod folder;
pub mod parameters;
pub mod progress;
pub mod recipe;
pub mod record;
pub mod settings;
pub mod tasks;

pub use seqzoo_datasets::nearest::{did_you_mean, nearest};
pub use seqzoo_kernels::{Backend, BackendError, devices};
