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
//!     checkpoints/step-00001234/    one commit: weights, optimiser, state, encoder, manifest
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

pub use seqzoo_kernels::{Backend, BackendError, devices};

/// The name among `known` that is nearest to `name`, if any is near enough to be what was meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let distance = |candidate: &str| {
        // A field named without its section is meant, however far apart the whole names are.
        let last = candidate.rsplit('.').next().unwrap_or(candidate);
        strsim::damerau_levenshtein(&name, candidate).min(strsim::damerau_levenshtein(&name, last))
    };
    let best = known.into_iter().min_by_key(|candidate| distance(candidate))?;
    (distance(best) <= 1 + best.chars().count() / 3).then_some(best)
}

/// " (did you mean `…`?)", or nothing.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |best| format!(" (did you mean `{best}`?)"))
}
