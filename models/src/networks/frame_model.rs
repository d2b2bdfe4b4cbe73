//! Sequences of frames of several simultaneous symbols, such as the notes of a piece of music.

use burn::module::Module;
use burn::nn::Embedding;
use burn::tensor::activation::log_softmax;
use burn::tensor::module::embedding;
use burn::tensor::{Device, Int, Tensor, TensorData};
use seqzoo_kernels::{Execution, Lengths};
use seqzoo_random::{Key, Purpose};

use super::{Network, mean_cross_entropy, table};
use crate::dropout_key::DropoutKey;
use crate::invalid_shape::{InvalidShape, expect_valid, positive, probability};
use crate::layers::dropout::dropout;
use crate::layers::{LayerState, Linear, Stack, StackOutput, StackShape};
use crate::names::{FieldNames, names};

/// Model of the next frame: recurrent stack over the frames so far, dropout, and an output layer for keys or for voices.
///
/// ```text
/// h_t = dropout(stack(x_1 … x_t))
/// keys:    p(key k sounds) = σ(h_t W + b)_k
/// voices:  p(symbol of voice v) = softmax(tanh(h_t U + c + Σ_{u < v} E[u, symbol of voice u] + P[v]) W + b)
/// ```
///
/// `x_t` describes the frame before, `[features]`; `W` is `[output_size, keys]`, or `[hidden_size, symbols]`; `U` is `[output_size,
/// hidden_size]`, `E` is `[voices · symbols, hidden_size]`, `P` is `[voices, hidden_size]`. Keys of a frame are independent given `h_t`
/// (Boulanger-Lewandowski et al. 2012), the symbols of its voices depend on those of earlier voices.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::Architecture;
/// use seqzoo_models::layers::StackShape;
/// use seqzoo_models::networks::{FrameModel, FrameModelShape, FrameOutput};
///
/// let stack = StackShape::plain(Architecture::Lstm, 12, vec![16]);
/// let output = FrameOutput::Voices { voices: 2, symbols: 6, hidden_size: 8 };
/// let model = FrameModel::new(FrameModelShape { stack, output, dropout: 0.1 }, 1, &Device::flex());
/// let frames = Tensor::ones([1, 3, 12], &Device::flex());
/// let features = model.forward(frames, &[3], None, None).0.reshape([3, 16]);
/// assert_eq!(model.voice_log_probabilities(features, &[1, 2, 0, 5, 3, 3]).dims(), [3, 2, 6]);
/// ```
#[derive(Module, Debug)]
pub struct FrameModel {
    stack: Stack,
    keys: Option<Linear>,
    voices: Option<Voices>,
    dropout: f64,
}

/// Output layer for voices.
#[derive(Module, Debug)]
struct Voices {
    state: Linear,
    earlier: Embedding,
    position: Embedding,
    output: Linear,
}

/// Names of parameters in checkpoints.
pub(super) const NAMES: &[FieldNames] = &[
    names!(FrameModel { stack: "stack", keys: "keys", voices: "voices" }),
    names!(Voices { state: "state", earlier: "earlier", position: "position", output: "output" }),
];

/// The sizes of a [`FrameModel`].
#[derive(Debug, Clone, PartialEq)]
pub struct FrameModelShape {
    /// The recurrent layers; their input are the features of a frame.
    pub stack: StackShape,
    /// What a frame consists of.
    pub output: FrameOutput,
    /// Dropout rate of the stack's outputs.
    pub dropout: f64,
}

/// What a frame consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameOutput {
    /// Keys, any of which sound.
    Keys(usize),
    /// Voices, each of which has one symbol.
    Voices {
        /// Number of voices.
        voices: usize,
        /// Number of symbols of a voice.
        symbols: usize,
        /// Size of the hidden layer before the symbols.
        hidden_size: usize,
    },
}

impl FrameModelShape {
    /// Checks the shape.
    ///
    /// # Errors
    /// The first invalid field: a size of `output`, the dropout rate, or a field of the stack, whose `architecture` must be unidirectional.
    pub fn check(&self) -> Result<(), InvalidShape> {
        let predicted = "the frames that the model predicts";
        self.stack.check_unidirectional(predicted).map_err(|error| error.within("stack"))?;
        match self.output {
            FrameOutput::Keys(keys) => positive("keys", keys)?,
            FrameOutput::Voices { voices, symbols, hidden_size } => {
                [("voices", voices), ("symbols", symbols), ("hidden_size", hidden_size)]
                    .into_iter()
                    .try_for_each(|(field, size)| positive(field, size))?;
            }
        }
        probability("dropout", self.dropout)
    }
}

impl FrameModel {
    /// A model with initial weights drawn from `seed`.
    ///
    /// # Panics
    /// If [`FrameModelShape::check`] fails.
    pub fn new(shape: FrameModelShape, seed: u64, device: &Device) -> Self {
        expect_valid(shape.check());
        let key = Key::new(seed, Purpose::Weights);
        let features = shape.stack.output_size();
        let (keys, voices) = match shape.output {
            FrameOutput::Keys(keys) => (Some(Linear::new(features, keys, 0.0, key.with_first(2), device)), None),
            FrameOutput::Voices { voices, symbols, hidden_size } => {
                let head = Voices {
                    state: Linear::new(features, hidden_size, 0.0, key.with_first(2), device),
                    earlier: table(voices * symbols, hidden_size, key.with_first(3), device),
                    position: table(voices, hidden_size, key.with_first(4), device),
                    output: Linear::new(hidden_size, symbols, 0.0, key.with_first(5), device),
                };
                (None, Some(head))
            }
        };
        let stack = Stack::new(shape.stack, key.with_first(1), device);
        Self { stack, keys, voices, dropout: shape.dropout }
    }

    /// Features of the next frame at each time step, `[batch, time, output_size]`, and the final state of each layer.
    ///
    /// `frames` is `[batch, time, features]`, with `lengths` valid steps per row. `states` has one initial state per layer; `None` means zeros.
    /// `dropout_key` is the key of this step's dropout masks; `None` at inference.
    ///
    /// # Panics
    /// As [`Stack::forward`].
    pub fn forward(
        &self,
        frames: Tensor<3>,
        lengths: impl Into<Lengths>,
        states: Option<Vec<LayerState>>,
        dropout_key: impl Into<DropoutKey>,
    ) -> (Tensor<3>, Vec<LayerState>) {
        let dropout_key = dropout_key.into();
        let StackOutput { outputs, states } = self.stack.forward(frames, lengths, states, &dropout_key);
        (dropout(outputs, self.dropout, dropout_key), states)
    }

    /// Logits of the keys, `[frames, keys]`, from `features`, `[frames, output_size]`.
    ///
    /// # Panics
    /// If the model has voices.
    pub fn key_logits(&self, features: Tensor<2>) -> Tensor<2> {
        self.keys.as_ref().expect("a model of keys").forward(features)
    }

    /// Mean over frames of the summed binary cross-entropies of the keys, in nats; `sounding`, `[frames, keys]`, is 1 for keys that sound.
    ///
    /// # Panics
    /// If the model has voices.
    pub fn key_loss(&self, features: Tensor<2>, sounding: Tensor<2>) -> Tensor<1> {
        let logits = self.key_logits(features);
        let [frames, _] = logits.dims();
        // −ln σ(z) for keys that sound, −ln σ(−z) for the others, without overflow.
        let loss = logits.clone().clamp_min(0.0) - logits.clone() * sounding + (logits.abs().neg().exp() + 1.0).log();
        loss.sum() / frames as f64
    }

    /// Log probabilities of the symbols of each voice, `[frames, voices, symbols]`, given those of earlier voices in the same frame;
    /// `symbols`, `[frames · voices]`, has those of all voices.
    ///
    /// # Panics
    /// If the model has keys, or the symbols do not match the features.
    pub fn voice_log_probabilities(&self, features: Tensor<2>, symbols: &[u32]) -> Tensor<3> {
        let head = self.voices.as_ref().expect("a model of voices");
        log_softmax(head.output.forward(head.hidden(features, symbols)), 2)
    }

    /// Mean over frames of the summed cross-entropies of the voices, in nats; arguments as in [`FrameModel::voice_log_probabilities`].
    ///
    /// # Panics
    /// As [`FrameModel::voice_log_probabilities`].
    pub fn voice_loss(&self, features: Tensor<2>, symbols: Vec<u32>) -> Tensor<1> {
        let head = self.voices.as_ref().expect("a model of voices");
        let hidden = head.hidden(features, &symbols);
        let [frames, voices, size] = hidden.dims();
        let hidden = hidden.reshape([frames * voices, size]);
        let (weight, bias) = (head.output.weight(), head.output.bias());
        mean_cross_entropy(hidden, weight, bias, symbols, self.stack.execution()) * voices as f64
    }
}

impl Voices {
    /// The hidden layer before the symbols, `[frames, voices, hidden_size]`.
    fn hidden(&self, features: Tensor<2>, symbols: &[u32]) -> Tensor<3> {
        let device = features.device();
        let [voices, _] = self.position.weight.dims();
        let [rows, _] = self.earlier.weight.dims();
        let (frames, count) = (features.dims()[0], rows / voices);
        assert_eq!(symbols.len(), frames * voices, "a symbol for every voice of every frame");
        let index = |(place, &symbol): (usize, &u32)| ((place % voices) * count) as i32 + symbol as i32;
        let indices: Vec<i32> = symbols.iter().enumerate().map(index).collect();
        let indices = Tensor::<2, Int>::from_data(TensorData::new(indices, [frames, voices]), &device);
        let of_voices = embedding(self.earlier.weight.val(), indices);
        // Sums over earlier voices.
        let is_earlier = |row: usize, column: usize| if column < row { 1.0f32 } else { 0.0 };
        let earlier: Vec<f32> =
            (0..voices).flat_map(|row| (0..voices).map(move |column| is_earlier(row, column))).collect();
        let earlier = TensorData::new(earlier, [1, voices, voices]);
        let earlier = Tensor::<3>::from_data(earlier, (&device, features.dtype()));
        let of_voices = earlier.expand([frames, voices, voices]).matmul(of_voices);
        let state = self.state.forward(features).unsqueeze_dim::<3>(1);
        (of_voices + state + self.position.weight.val().unsqueeze()).tanh()
    }
}

impl Network for FrameModel {
    fn set_execution(&mut self, execution: Execution) {
        self.stack.set_execution(execution);
        let voices = self.voices.iter_mut().flat_map(|head| [&mut head.state, &mut head.output]);
        self.keys.iter_mut().chain(voices).for_each(|linear| linear.set_execution(execution));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Architecture;
    use seqzoo_kernels::devices;

    fn model(output: FrameOutput, device: &Device) -> FrameModel {
        let stack = StackShape::plain(Architecture::Gru, 5, vec![7]);
        FrameModel::new(FrameModelShape { stack, output, dropout: 0.0 }, 3, device)
    }

    fn features(device: &Device) -> Tensor<2> {
        let values: Vec<f32> = (0..21).map(|index| (index as f32 * 0.7).sin()).collect();
        Tensor::from_data(TensorData::new(values, [3, 7]), device)
    }

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    #[test]
    fn the_loss_of_keys_is_the_sum_of_their_cross_entropies() {
        for (name, device) in devices() {
            let model = model(FrameOutput::Keys(4), &device);
            let sounding = [1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0f32];
            let logits = values(model.key_logits(features(&device)));
            let of_key = |(&logit, &sounds): (&f32, &f32)| {
                let probability = 1.0 / (1.0 + (-f64::from(logit)).exp());
                if sounds == 1.0 { -probability.ln() } else { -(1.0 - probability).ln() }
            };
            let expected = logits.iter().zip(&sounding).map(of_key).sum::<f64>() / 3.0;
            let sounding = Tensor::from_data(TensorData::new(sounding.to_vec(), [3, 4]), &device);
            let loss: f32 = model.key_loss(features(&device), sounding.clone()).into_scalar();
            assert!((f64::from(loss) - expected).abs() < 1e-5, "{name:?}: {loss} is not {expected}");
            // Logits that overflow an exponential.
            let huge = model.key_loss(features(&device) * 1e4, sounding);
            assert!(huge.into_scalar::<f32>().is_finite(), "{name:?}");
        }
    }

    #[test]
    fn a_voice_depends_on_earlier_voices_only() {
        for (name, device) in devices() {
            let model = model(FrameOutput::Voices { voices: 3, symbols: 4, hidden_size: 6 }, &device);
            let of = |symbols: [u32; 9]| values(model.voice_log_probabilities(features(&device), &symbols));
            let found = of([0, 1, 2, 3, 0, 1, 2, 3, 0]);
            for row in found.chunks(4) {
                let sum: f32 = row.iter().map(|value| value.exp()).sum();
                assert!((sum - 1.0).abs() < 1e-5, "{name:?}");
            }
            let changed = of([0, 3, 2, 3, 0, 1, 2, 3, 0]);
            assert_eq!(found[..8], changed[..8], "{name:?}: the first two voices of the first frame");
            assert_ne!(found[8..12], changed[8..12], "{name:?}: the third voice of the first frame");
            assert_eq!(found[12..], changed[12..], "{name:?}: other frames");
            let symbols = vec![0, 1, 2, 3, 0, 1, 2, 3, 0];
            let expected: f32 =
                symbols.iter().enumerate().map(|(place, &symbol)| -found[place * 4 + symbol as usize]).sum::<f32>()
                    / 3.0;
            let loss: f32 = model.voice_loss(features(&device), symbols).into_scalar();
            assert!((loss - expected).abs() < 1e-5, "{name:?}: {loss} is not {expected}");
        }
    }
}
