//! One of the models that a recipe trains side by side.

use seqzoo_datasets::catalog::Kind;
use seqzoo_models::layers::stack::StackRates;
use seqzoo_models::layers::{AttentionScore, Skip, StackShape};
use seqzoo_models::networks::LanguageModelShape;
use seqzoo_models::{Architecture, InvalidShape};

use super::{CharacterSettings, DropoutSettings, InvalidValue, MAX_HIDDEN, Recipe, invalid, unknown_name};

/// A model's name and what it stands for: an architecture, behind it the units of each layer where they are not the recipe's,
/// and `+crf` for a tagger whose labels are crf; or `perceptron`, which series are forecast by to compare.
///
/// ```text
/// lstm      lstm-50      birnn-20      gru-64-32      bilstm+crf      perceptron-64
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// The name in recipes, reports and folders.
    pub name: String,
    /// What reads.
    pub backbone: Backbone,
    /// The recipe with this model's own values in it.
    pub recipe: Recipe,
}

/// What reads a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backbone {
    /// A recurrent architecture.
    Recurrent(Architecture),
    /// A perceptron over a window of fixed length.
    Perceptron,
}

/// The name of [`Backbone::Perceptron`].
const PERCEPTRON: &str = "perceptron";

/// Of a recurrent stack; with gradients and moments, 16 GB.
const MAX_PARAMETERS: u128 = 1_000_000_000;

impl Recipe {
    /// The model of that name.
    ///
    /// # Errors
    /// If the name stands for none.
    pub fn spec(&self, name: &str) -> Result<ModelSpec, InvalidValue> {
        let (plain, crf) = name.strip_suffix("+crf").map_or((name, false), |plain| (plain, true));
        let recurrent = Architecture::ALL.map(|architecture| (architecture.name(), Backbone::Recurrent(architecture)));
        let backbones = || recurrent.into_iter().chain([(PERCEPTRON, Backbone::Perceptron)]);
        let found = backbones().find_map(|(reader, kind)| Some((kind, units(plain.strip_prefix(reader)?)?)));
        let known: Vec<&str> = backbones().map(|(name, _)| name).collect();
        let (backbone, units) = found.ok_or_else(|| invalid("models", name, unknown_name(name, &known)))?;
        let mut recipe = self.of_model(name)?;
        if !units.is_empty() {
            recipe.network.hidden_sizes = units;
        }
        recipe.network.crf |= crf;
        Ok(ModelSpec { name: name.to_owned(), backbone, recipe })
    }
}

/// The units of layers, as in `-64-32` behind a name; none if there is nothing behind it.
fn units(text: &str) -> Option<Vec<usize>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let size = |units: &str| units.parse().ok().filter(|units| (1..=MAX_HIDDEN).contains(units));
    text.strip_prefix('-')?.split('-').map(size).collect()
}

impl ModelSpec {
    /// What is to be told of the reader.
    pub fn summary(&self) -> &'static str {
        match self.backbone {
            Backbone::Recurrent(architecture) => architecture.card().summary,
            Backbone::Perceptron => "layers of rectified units over a window of fixed length",
        }
    }

    /// The recurrent layers.
    ///
    /// # Panics
    /// If the reader is a perceptron, which validation allows for series alone.
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
            rates: StackRates { dropout, locked, recurrent, zoneout },
        }
    }

    /// Refuses what no network of that kind can have.
    pub(super) fn validate(&self, kind: Kind) -> Result<(), InvalidValue> {
        if self.recipe.network.crf && kind != Kind::Tags {
            return Err(invalid("network.crf", true, "false: only taggers have labels that are crf".to_owned()));
        }
        if self.recipe.dropout.embedding > 0.0 && kind == Kind::Series {
            let expected = "0: a series has numbers, of which no tokens can be dropped".to_owned();
            return Err(invalid("dropout.embedding", self.recipe.dropout.embedding, expected));
        }
        if self.backbone == Backbone::Perceptron {
            let refused =
                || invalid("models", &self.name, "only series are read by a window of fixed length".to_owned());
            return match (kind, self.recipe.network.hidden_sizes.is_empty()) {
                (Kind::Series, false) => Ok(()),
                (Kind::Series, true) => Err(invalid("network.hidden_sizes", "[]", "at least one layer".to_owned())),
                _ => Err(refused()),
            };
        }
        let network = &self.recipe.network;
        let sizes = format!("{:?}", network.hidden_sizes);
        // What taggers and forecasters read beside embeddings is known with the data alone, and so what skips them.
        let stack = match kind {
            Kind::Tags | Kind::Series => StackShape { skip: Skip::None, ..self.stack() },
            Kind::Labels | Kind::Text | Kind::Pairs => self.stack(),
        };
        stack.check().map_err(|invalid_shape| invalid("network.hidden_sizes", &sizes, invalid_shape.reason))?;
        match kind {
            Kind::Text => self.validate_language_model(&stack)?,
            Kind::Pairs if network.attention == AttentionScore::Dot && stack.architecture.directions() > 1 => {
                let expected = "general or additive: what reads both ways is wider than what writes".to_owned();
                return Err(invalid("network.attention", "dot", expected));
            }
            Kind::Labels | Kind::Tags | Kind::Pairs | Kind::Series => {}
        }
        let CharacterSettings { embedding_size, hidden_size } = self.recipe.characters;
        if hidden_size > 0 && !(1..=MAX_HIDDEN).contains(&embedding_size) || hidden_size > MAX_HIDDEN {
            let expected = format!("whole numbers from 1 to {MAX_HIDDEN}, for letters that are read");
            return Err(invalid("characters.embedding_size", embedding_size, expected));
        }
        if stack.parameters() > MAX_PARAMETERS {
            let expected = format!("{} would have more than 10⁹ parameters", self.name);
            return Err(invalid("network.hidden_sizes", sizes, expected));
        }
        Ok(())
    }

    /// What only a language model refuses.
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
    fn a_name_tells_architecture_units_and_joint_labels_or_stands_for_nothing() {
        let recipe = Settings::read("pos").unwrap().recipe;
        let units = |name: &str| recipe.spec(name).map(|spec| spec.recipe.network.hidden_sizes);
        assert_eq!(units("bilstm"), Ok(vec![128]));
        assert_eq!(units("bilstm-50"), Ok(vec![50]));
        assert_eq!(units("gru-reset-after-64-32"), Ok(vec![64, 32]));
        assert_eq!(recipe.spec("gru-reset-after-64").unwrap().stack().architecture.name(), "gru-reset-after");
        let crf = recipe.spec("bilstm-7+crf").unwrap();
        assert!(crf.recipe.network.crf && crf.name == "bilstm-7+crf" && !recipe.network.crf);
        for name in ["lstm-", "lstm-0", "lstm-x", "lstm50", "-50", "", "+crf", "lstm+tanh", "lstm-5000"] {
            assert!(units(name).is_err(), "{name}");
        }
        let same = Settings::read("agreement").unwrap().recipe;
        assert_eq!(same.spec("lstm").unwrap().recipe, same, "a plain name changes nothing");
    }
}
