//! Attention weights of a prediction.

use seqzoo_models::networks::Hypothesis;

use super::Transducer;
use super::predict::encode;
use crate::targets::BEGIN;
use crate::{PredictError, pad_rows};

/// Attention of a predicted text over its source.
#[derive(Debug, Clone, PartialEq)]
pub struct Alignment {
    /// Tokens of the source.
    pub source: Vec<String>,
    /// Generated tokens; `None` is the end of the sequence.
    pub target: Vec<Option<String>>,
    /// Attention weights of each target token, one for each source token; they sum to 1.
    pub weights: Vec<Vec<f32>>,
}

impl Transducer {
    /// Attention weights with which the best target of beam search with the given width is generated.
    ///
    /// # Errors
    /// If the source has no token.
    pub fn attention(&self, text: &str, width: usize) -> Result<Alignment, PredictError> {
        let Self { network, codec, device, .. } = self;
        let source = codec.encode_source(text);
        if source.ids.is_empty() {
            return Err(PredictError::Empty { index: 0 });
        }
        let generation = self.generation();
        let encoded = encode(network, std::iter::once(&source), None, device);
        let best = network.beam_search(encoded.clone(), &generation, width).into_iter().flatten().next();
        let Hypothesis { tokens, .. } = best.unwrap_or_default();
        let ends = tokens.len() < generation.max_length;
        let length = tokens.len() + usize::from(ends);
        let input = std::iter::once(BEGIN).chain(tokens.iter().copied()).take(length).map(|token| token as u32);
        let input: Vec<u32> = input.collect();
        let (input, lengths) = pad_rows(std::iter::once(input.as_slice()), device);
        let weights = network.attention_weights(encoded, input, &lengths).try_into_vec_as::<f32>();
        let weights = weights.expect("a computed tensor can be read");
        let target = tokens.iter().map(|&id| codec.token(id, &source).map(str::to_owned)).chain(ends.then_some(None));
        Ok(Alignment {
            source: codec.source.divide(codec.level, &codec.cleaning.apply(text)),
            target: target.collect(),
            weights: weights.chunks(source.ids.len()).map(<[f32]>::to_vec).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use seqzoo_datasets::transduction::{Pair, Transduction};
    use seqzoo_models::parameters::read;

    use super::*;
    use crate::{Examples as _, test_spec};

    #[test]
    fn each_target_token_has_a_weight_for_each_source_token() {
        let pair =
            |source: &str, target: &str| Pair { source: source.into(), target: target.into(), groups: [].into() };
        let train = vec![pair("rain in kime", "rain"), pair("sun in bavo", "sun")];
        let data = Transduction { train, ..Transduction::default() };
        let device = seqzoo_kernels::devices().remove(0).1;
        for model in ["bilstm-4", "bilstm-4+copy"] {
            let spec = test_spec("seq2seq", "", model);
            let training = data.training(&spec).unwrap();
            let weights = read(&*training.network(&device));
            let transducer = Transducer::open(&spec, &training.files(), &weights, &device).unwrap();
            for width in [1, 3] {
                let Alignment { source, target, weights } = transducer.attention("Rain in Luto", width).unwrap();
                assert_eq!(source, ["rain", "in", "luto"]);
                assert!(!target.is_empty() && target.len() == weights.len());
                assert!(target[..target.len() - 1].iter().all(Option::is_some));
                for row in weights {
                    assert!(row.len() == 3 && (row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
                }
            }
            assert_eq!(transducer.attention("…", 1), Err(PredictError::Empty { index: 0 }));
        }
    }
}
