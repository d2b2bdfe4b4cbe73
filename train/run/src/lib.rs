//! Runs: recipes, run folders and checkpoints. Training writes runs and inference reads them; both depend on this crate,
//! and neither on the other.
//!
//! ```text
//! runs/agreement-1/                 one run
//!   recipe.toml                     resolved recipe, with the origin of each value
//!   env.json                        version, backend, threads, seed, digest of the dataset
//!   lock                            locked while a process trains; released by the operating system
//!   lstm/                           one folder per model
//!     metrics.jsonl  events.jsonl   metrics and recovery decisions, one per line
//!     timing.jsonl                  durations, kept separate so that metrics are reproducible bit for bit
//!     initial/                      initial weights, if word vectors or another run provide them
//!     checkpoints/step-00001234/    one checkpoint: weights, optimizer, progress, encoder, manifest
//! runs/elsewhere.jsonl              paths of runs created with --out, so that `last` finds them
//! ```

pub mod checkpoint;
pub mod disk;
pub mod faults;
pub mod folder;
pub mod initial;
pub mod progress;
pub mod recipe;
pub mod record;
pub mod settings;
pub mod store;
pub mod weights;

pub use seqzoo_datasets::nearest::{did_you_mean, nearest};
pub use seqzoo_kernels::{Backend, BackendError, devices};
