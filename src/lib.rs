//! seqzoo: a zoo of recurrent networks on Burn.
//!
//! The program trains recipes and answers from what they leave behind; this library is a thin facade over the packages
//! that do the work:
//!
//! - [`models`]: cells, layers, networks;
//! - [`datasets`]: datasets, text, batches;
//! - [`run`]: recipes, run folders, checkpoints, tasks;
//! - [`train`]: the learner;
//! - [`inference`]: opening a checkpoint, evaluating, predicting.
//!
//! ```no_run
//! use seqzoo::{inference::Model, run::Backend, run::folder::Run};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let run = Run::find("last")?;
//! let model = Model::open(&run.model("lstm"), &Backend::best()?.device()?)?;
//! let answer = &model.predict(&["the keys to the cabinet"])?[0];
//! println!("{} ({:.3})", answer.label, answer.probability);
//! # Ok(()) }
//! ```

pub use seqzoo_datasets as datasets;
pub use seqzoo_inference as inference;
pub use seqzoo_models as models;
pub use seqzoo_run as run;
pub use seqzoo_train as train;
