//! seqzoo: a zoo of recurrent networks on Burn.
//!
//! This library is a thin facade over the packages of the workspace:
//!
//! - [`models`]: cells, layers, networks;
//! - [`datasets`]: datasets, text, batches;
//! - [`tasks`]: classification, tagging, language modeling, sequence to sequence, forecasting;
//! - [`run`]: recipes, run folders, checkpoints;
//! - [`train`]: the training loop;
//! - [`inference`]: loading a checkpoint, evaluating, predicting.
//!
//! ```no_run
//! use seqzoo::{inference::Model, run::Backend, run::store::RunStore};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let run = RunStore::new("runs").find("last")?;
//! let model = Model::open(&run.model("lstm"), &Backend::best()?.device()?)?;
//! let prediction = &model.classifier()?.predictions(&["the keys to the cabinet"])?[0];
//! println!("{} ({:.3})", prediction.label, prediction.probability);
//! # Ok(()) }
//! ```

pub use seqzoo_datasets as datasets;
pub use seqzoo_inference as inference;
pub use seqzoo_models as models;
pub use seqzoo_run as run;
pub use seqzoo_tasks as tasks;
pub use seqzoo_train as train;
