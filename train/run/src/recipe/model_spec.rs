//! Model specs: architecture, layer sizes and options encoded in a model name.

use seqzoo_datasets::catalog::Kind;
use seqzoo_models::layers::stack::StackRates;
use seqzoo_models::layers::{AttentionScore, Skip, StackShape};
use seqzoo_models::networks::LanguageModelShape;
use seqzoo_models::{Architecture, InvalidShape};

use super::{CharacterSettings, DropoutSettings, InvalidValue, MAX_HIDDEN, Recipe, invalid, unknown_name};

/// A model specified by name: an architecture, optionally followed by the hidden size of each layer (default: the recipe's) and, for
/// taggers, `+crf`; or `perceptron`, a baseline for forecasting.
///
/// ```text
/// lstm      lstm-50      birnn-20      gru-64-32      bilstm+crf      perceptron-64
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// The name in recipes, reports and folders.
    pub name: String,
    /// The sequence model.
    pub backbone: Backbone,
    /// The recipe of this model, see [`Recipe::of_model`].
    pub recipe: Recipe,
}

/// The sequence model of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backbone {
    /// A recurrent architecture.
    Recurrent(Architecture),
    /// Multilayer perceptron over a window of fixed length.
    Perceptron,
}

/// The name of [`Backbone::Perceptron`].
const PERCEPTRON: &str = "perceptron";

/// Maximum number of parameters of a recurrent stack; 16 GB with gradients and moments.
const MAX_PARAMETERS: u128 = 1_000_000_000;

impl Recipe {
    /// Parses a model name.
    ///
    /// # Errors
    /// If the name is not valid.
    pub fn spec(&self, name: &str) -> Result<ModelSpec, InvalidValue> {
        let (plain, crf) = name.strip_suffix("+crf").map_or((name, false), |plain| (plain, true));
        let recurrent = Architecture::ALL.map(|architecture| (architecture.name(), Backbone::Recurrent(architecture)));
        let backbones = || recurrent.into_iter().chain([(PERCEPTRON, Backbone::Perceptron)]);
        let found = backbones().find_map(|(name, kind)| Some((kind, hidden_sizes(plain.strip_prefix(name)?)?)));
        let known: Vec<&str> = backbones().map(|(name, _)| name).collect();
        let (backbone, sizes) = found.ok_or_else(|| invalid("models", name, unknown_name(name, &known)))?;
        let mut recipe = self.of_model(name)?;
        if !sizes.is_empty() {
            recipe.network.hidden_sizes = sizes;
        }
        recipe.network.crf |= crf;
        Ok(ModelSpec { name: name.to_owned(), backbone, recipe })
    }
}

/// Parses the hidden sizes of a suffix such as `-64-32`; empty if there is no suffix.
fn hidden_sizes(text: &str) -> Option<Vec<usize>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let size = |size: &str| size.parse().ok().filter(|size| (1..=MAX_HIDDEN).contains(size));
    text.strip_prefix('-')?.split('-').map(size).collect()
}

impl ModelSpec {
    /// One-line description of the backbone.
    pub fn summary(&self) -> &'static str {
        match self.backbone {
            Backbone::Recurrent(architecture) => architecture.info().summary,
            Backbone::Perceptron => "multilayer perceptron with ReLU over a window of fixed length",
        }
    }

    /// The recurrent layers.
    ///
    /// # Panics
    /// If the backbone is a perceptron, which validation allows only for series.
    pub fn stack(&self) -> StackShape {
        let Backbone::Recurrent(architecture) = self.backbone else { panic!("a perceptron has no recurrent layers") };
        let DropoutSettings { layers: dropout, locked, recurrent, zoneout, .. } = self.recipe.dropout;
        let network = &self.recipe.network;
        StackShape {
            architecture,
            input_size: network.embedding_size,
            hidden_sizes: network.hidden_sizes.clone(),
            skip: network.skip,
            projection: network.projection,
            rates: StackRates { dropout, locked_dropout: locked, recurrent_dropout: recurrent, zoneout },
        }
    }

    /// Checks the model for a task of the given kind.
    pub(super) fn validate(&self, kind: Kind) -> Result<(), InvalidValue> {
        if self.recipe.network.crf && kind != Kind::Tags {
            return Err(invalid("network.crf", true, "false: only taggers support a CRF".to_owned()));
        }
        if self.recipe.dropout.embedding > 0.0 && kind == Kind::Series {
            let expected = "0: a series has no token embeddings".to_owned();
            return Err(invalid("dropout.embedding", self.recipe.dropout.embedding, expected));
        }
        if self.backbone == Backbone::Perceptron {
            let refused = || invalid("models", &self.name, "only series support a perceptron".to_owned());
            return match (kind, self.recipe.network.hidden_sizes.is_empty()) {
                (Kind::Series, false) => Ok(()),
                (Kind::Series, true) => Err(invalid("network.hidden_sizes", "[]", "at least one layer".to_owned())),
                _ => Err(refused()),
            };
        }
        let network = &self.recipe.network;
        let sizes = format!("{:?}", network.hidden_sizes);
        // The input size of taggers and forecasters depends on the dataset, so skip connections are checked later.
        let stack = match kind {
            Kind::Tags | Kind::Series => StackShape { skip: Skip::None, ..self.stack() },
            Kind::Labels | Kind::Text | Kind::Pairs => self.stack(),
        };
        stack.check().map_err(|invalid_shape| invalid("network.hidden_sizes", &sizes, invalid_shape.reason))?;
        match kind {
            Kind::Text => self.validate_language_model(&stack)?,
            Kind::Pairs if network.attention == AttentionScore::Dot && stack.architecture.directions() > 1 => {
                let expected = "general or additive: a bidirectional encoder is wider than the decoder".to_owned();
                return Err(invalid("network.attention", "dot", expected));
            }
            Kind::Labels | Kind::Tags | Kind::Pairs | Kind::Series => {}
        }
        let CharacterSettings { embedding_size, hidden_size } = self.recipe.characters;
        if hidden_size > 0 && !(1..=MAX_HIDDEN).contains(&embedding_size) || hidden_size > MAX_HIDDEN {
            let expected = format!("whole numbers from 1 to {MAX_HIDDEN} for a character encoder");
            return Err(invalid("characters.embedding_size", embedding_size, expected));
        }
        if stack.parameters() > MAX_PARAMETERS {
            let expected = format!("{} would have more than 10⁹ parameters", self.name);
            return Err(invalid("network.hidden_sizes", sizes, expected));
        }
        Ok(())
    }

    /// Checks specific to language models.
    fn validate_language_model(&self, stack: &StackShape) -> Result<(), InvalidValue> {
        let vocabulary = 1;
        let shape = LanguageModelShape {
            vocabulary,
            stack: stack.clone(),
            tied: self.recipe.network.tied,
            dropout: self.recipe.dropout.output,
            embedding_dropout: self.recipe.dropout.embedding,
        };
        let field = |invalid_shape: &InvalidShape| match invalid_shape.field.as_str() {
            "stack.architecture" => ("models", self.name.clone()),
            "tied" => ("network.tied", "true".to_owned()),
            _ => ("network.hidden_sizes", format!("{:?}", self.recipe.network.hidden_sizes)),
        };
        shape.check().map_err(|invalid_shape| {
            let (field, value) = field(&invalid_shape);
            invalid(field, value, invalid_shape.reason)
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::Settings;

    #[test]
    fn a_name_encodes_architecture_sizes_and_crf_or_is_refused() {
        let recipe = Settings::read("pos").unwrap().recipe;
        let sizes = |name: &str| recipe.spec(name).map(|spec| spec.recipe.network.hidden_sizes);
        assert_eq!(sizes("bilstm"), Ok(vec![128]));
        assert_eq!(sizes("bilstm-50"), Ok(vec![50]));
        assert_eq!(sizes("gru-reset-after-64-32"), Ok(vec![64, 32]));
        assert_eq!(recipe.spec("gru-reset-after-64").unwrap().stack().architecture.name(), "gru-reset-after");
        let crf = recipe.spec("bilstm-7+crf").unwrap();
        assert!(crf.recipe.network.crf && crf.name == "bilstm-7+crf" && !recipe.network.crf);
        for name in ["lstm-", "lstm-0", "lstm-x", "lstm50", "-50", "", "+crf", "lstm+tanh", "lstm-5000"] {
            assert!(sizes(name).is_err(), "{name}");
        }
        let same = Settings::read("names").unwrap().recipe;
        assert_eq!(same.spec("bilstm").unwrap().recipe, same, "a plain name changes nothing");
    }
}
