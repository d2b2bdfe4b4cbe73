//! Dropout: what is dropped from an example depends on neither its row in the batch nor the other examples.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use proptest::prelude::*;
use seqzoo_kernels::devices;
use seqzoo_models::Architecture;
use seqzoo_models::dropout_key::DropoutKey;
use seqzoo_models::layers::{
    AttentionScore, CharacterEncoderShape, Pooling, RegularizationRates, Skip, Stack, StackShape, WordCharacters,
};
use seqzoo_models::networks::{
    BackboneShape, Classifier, ClassifierShape, EncoderDecoder, EncoderDecoderShape, ForecastHead, Forecaster,
    ForecasterShape, LanguageModel, LanguageModelShape, SourceShape, Tagger, TaggerInput, TaggerShape,
};
use seqzoo_random::{Key, Purpose};

use crate::support::{difference, gradients, numbers, tagger, tensor, tokens, values};

/// Number of time steps of each example.
const LENGTHS: [usize; 5] = [4, 2, 5, 1, 3];
const VOCABULARY: usize = 11;

/// Two layers with every kind of dropout.
fn stack(architecture: Architecture, input_size: usize) -> StackShape {
    let rates = RegularizationRates {
        input_dropout: 0.3,
        dropout: 0.3,
        locked_dropout: 0.3,
        recurrent_dropout: 0.3,
        zoneout: 0.3,
    };
    StackShape { rates, skip: Skip::Dense, ..StackShape::plain(architecture, input_size, vec![6, 5]) }
}

/// The examples `rows` of a batch.
struct Rows<'a> {
    rows: &'a [usize],
    device: &'a Device,
}

impl Rows<'_> {
    fn lengths(&self) -> Vec<usize> {
        self.rows.iter().map(|&row| LENGTHS[row]).collect()
    }

    fn time(&self) -> usize {
        *self.lengths().iter().max().unwrap()
    }

    /// `[rows, time]`; padding is 0.
    fn tokens(&self) -> Tensor<2, Int> {
        let token =
            |row: usize, step: usize| if step < LENGTHS[row] { 1 + (3 * row + 2 * step) as i32 % 10 } else { 0 };
        let time = self.time();
        let all: Vec<i32> = self.rows.iter().flat_map(|&row| (0..time).map(move |step| token(row, step))).collect();
        Tensor::from_data(TensorData::new(all, [self.rows.len(), time]), self.device)
    }

    /// Sums `[rows, time, features]` over valid time steps.
    fn sum(&self, outputs: Tensor<3>) -> Tensor<2> {
        let [batch, time, features] = outputs.dims();
        let valid = |&length: &usize| (0..time).map(move |step| f32::from(step < length));
        let valid: Vec<f32> = self.lengths().iter().flat_map(valid).collect();
        (outputs * tensor(valid, [batch, time, 1], self.device)).sum_dim(1).reshape([batch, features])
    }

    /// The characters of each word, in the order in which the batch first has it; a word's characters are its token's digits.
    fn characters(&self) -> WordCharacters {
        let (batch, time) = (self.rows.len(), self.time());
        let tokens = self.tokens().try_into_vec_as::<i64>().unwrap();
        let mut distinct: Vec<i64> = Vec::new();
        let mut word_indices = Vec::new();
        for token in tokens {
            let known = distinct.iter().position(|&other| other == token);
            word_indices.push(known.unwrap_or(distinct.len()) as i32);
            distinct.extend(known.is_none().then_some(token));
        }
        let characters: Vec<i32> = distinct.iter().flat_map(|&token| [token as i32 % 4, token as i32 / 4]).collect();
        WordCharacters {
            characters: Tensor::from_data(TensorData::new(characters, [distinct.len(), 2]), self.device),
            lengths: vec![2; distinct.len()],
            word_indices: Tensor::from_data(TensorData::new(word_indices, [batch, time]), self.device),
        }
    }
}

type Gradients = BTreeMap<String, Vec<f32>>;

/// Outputs of each row, and the gradients of the sum of a loss of each example.
fn run<M: Module>(
    module: &M,
    forward: &dyn Fn(&M, &Rows, DropoutKey) -> Tensor<2>,
    rows: &Rows,
    dropout_key: DropoutKey,
) -> (Vec<Vec<f32>>, Gradients) {
    let outputs = forward(module, rows, dropout_key);
    let [batch, width] = outputs.dims();
    let weights: Vec<f32> = rows.rows.iter().flat_map(|&row| numbers(width, row as u64)).collect();
    let loss = (outputs.clone() * tensor(weights, [batch, width], rows.device)).sum();
    let found = gradients(module, &loss.backward());
    (values(outputs).chunks(width).map(<[f32]>::to_vec).collect(), found)
}

fn check<M: Module>(
    name: &str,
    module: &M,
    order: &[usize],
    device: &Device,
    forward: &dyn Fn(&M, &Rows, DropoutKey) -> Tensor<2>,
) {
    let key = Key::new(3, Purpose::Dropout);
    let keys = |rows: &[usize]| {
        let examples: Vec<u64> = rows.iter().map(|&row| 100 + row as u64).collect();
        DropoutKey::new(key.with_first(70), key.with_first(2), &examples)
    };
    let all: Vec<usize> = (0..LENGTHS.len()).collect();
    let of = |rows: &[usize], dropout_key| run(module, forward, &Rows { rows, device }, dropout_key);
    let (outputs, gradients) = of(&all, keys(&all));
    let (plain, _) = of(&all, DropoutKey::NONE);
    let (permuted, permuted_gradients) = of(order, keys(order));
    for (row, &example) in order.iter().enumerate() {
        assert!(difference(&outputs[example], &plain[example]) > 1e-3, "{name}: nothing is dropped");
        assert!(difference(&permuted[row], &outputs[example]) <= 1e-5, "{name}: example {example} in row {row}");
        let (alone, _) = of(&[example], keys(&[example]));
        assert!(difference(&alone[0], &outputs[example]) <= 1e-5, "{name}: example {example} alone");
    }
    for (parameter, gradient) in &gradients {
        assert!(difference(&permuted_gradients[parameter], gradient) <= 1e-4, "{name}: gradient of {parameter}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn permuting_a_batch_permutes_outputs_and_keeps_gradients_with_dropout(order in Just((0..LENGTHS.len()).collect::<Vec<_>>()).prop_shuffle()) {
        for (_, device) in devices() {
            let device = device.autodiff();
            let (dropout, embedding_dropout) = (0.3, 0.3);
            let classifier = ClassifierShape {
                vocabulary: VOCABULARY,
                stack: stack(Architecture::BiLstm, 4),
                pooling: Pooling::Attention,
                labels: 3,
                dropout,
                embedding_dropout,
            };
            check("classifier", &Classifier::new(classifier, 1, &device), &order, &device, &|network, rows, key| {
                network.forward(rows.tokens(), &rows.lengths(), key)
            });

            let character_encoder = CharacterEncoderShape { characters: 4, stack: stack(Architecture::BiGru, 3) };
            let tagger = TaggerShape {
                vocabulary: VOCABULARY,
                embedding_size: 4,
                stack: stack(Architecture::Gru, 4 + character_encoder.stack.output_size()),
                character_encoder: Some(character_encoder),
                labels: 3,
                crf: false,
                sentence: None,
                dropout,
                embedding_dropout,
            };
            check("tagger", &Tagger::new(tagger, 1, &device), &order, &device, &|network, rows, key| {
                let characters = Some(rows.characters());
                let input = TaggerInput { tokens: rows.tokens(), lengths: rows.lengths(), characters };
                rows.sum(network.emissions(&input, key))
            });

            let model = LanguageModelShape {
                vocabulary: VOCABULARY,
                stack: stack(Architecture::LayerNormLstm, 4),
                tied: false,
                dropout,
                embedding_dropout,
            };
            check("language model", &LanguageModel::new(model, 1, &device), &order, &device, &|network, rows, key| {
                rows.sum(network.scores(network.forward(rows.tokens(), &rows.lengths(), None, key).features))
            });

            let pair = EncoderDecoderShape {
                source: SourceShape::Tokens(VOCABULARY),
                target_vocabulary: VOCABULARY,
                encoder: stack(Architecture::BiGru, 4),
                decoder: stack(Architecture::Lstm, 4),
                attention: AttentionScore::General,
                copy: false,
                dropout,
                embedding_dropout,
            };
            check("encoder-decoder", &EncoderDecoder::new(pair, 1, &device), &order, &device, &|network, rows, key| {
                let encoded = network.encode(rows.tokens(), &rows.lengths(), &key);
                rows.sum(network.decode(encoded, rows.tokens(), &rows.lengths(), &key).0)
            });

            let backbone = BackboneShape::Recurrent(stack(Architecture::Rnn, VOCABULARY));
            let forecaster = ForecasterShape { backbone, horizon: 3, head: ForecastHead::Gaussian, dropout };
            check("forecaster", &Forecaster::new(forecaster, 1, &device), &order, &device, &|network, rows, key| {
                let past: Tensor<3> = rows.tokens().one_hot(VOCABULARY).float();
                network.forward(past, &rows.lengths(), key).reshape([rows.rows.len() as i32, -1])
            });
        }
    }
}

#[test]
#[should_panic(expected = "a batch of 2 rows needs as many examples in its dropout key, got 3")]
fn one_example_per_row_is_needed() {
    let (_, device) = devices().remove(0);
    let key = Key::new(1, Purpose::Dropout);
    seqzoo_models::layers::dropout::dropout(
        Tensor::<2>::ones([2, 4], &device),
        0.5,
        DropoutKey::new(key, key, &[1, 2, 3]),
    );
}

/// Output of a network, given its embedding dropout and dropout rates and the dropout key.
type Output<'a> = &'a dyn Fn([f64; 2], Option<Key>) -> Vec<f32>;

#[test]
fn every_dropout_rate_affects_training_only() {
    let (_, device) = devices().remove(0);
    let stack = || StackShape::plain(Architecture::Gru, 4, vec![8]);
    let text = tokens(&[vec![1, 2, 3, 4]], 4, 0, &device);
    let classifier = |[embedding_dropout, dropout]: [f64; 2]| {
        let shape = ClassifierShape {
            vocabulary: 9,
            stack: stack(),
            pooling: Pooling::Last,
            labels: 4,
            dropout,
            embedding_dropout,
        };
        Classifier::new(shape, 1, &device)
    };
    let tagger = |[embedding_dropout, dropout]: [f64; 2]| {
        Tagger::new(TaggerShape { dropout, embedding_dropout, ..tagger() }, 1, &device)
    };
    let model = |[embedding_dropout, dropout]: [f64; 2]| {
        let shape = LanguageModelShape { vocabulary: 9, stack: stack(), tied: false, dropout, embedding_dropout };
        LanguageModel::new(shape, 1, &device)
    };
    let pair = |[embedding_dropout, dropout]: [f64; 2]| {
        let shape = EncoderDecoderShape {
            source: SourceShape::Tokens(9),
            target_vocabulary: 9,
            encoder: stack(),
            decoder: stack(),
            attention: AttentionScore::General,
            copy: false,
            dropout,
            embedding_dropout,
        };
        EncoderDecoder::new(shape, 1, &device)
    };
    let forecaster = |dropout: f64| {
        let backbone = BackboneShape::Recurrent(stack());
        let shape = ForecasterShape { backbone, horizon: 4, head: ForecastHead::Point, dropout };
        Forecaster::new(shape, 1, &device)
    };
    let sentences = || TaggerInput { tokens: text.clone(), lengths: vec![4], characters: None };
    let outputs: [(&str, Output); 5] = [
        ("classifier", &|rates, key| values(classifier(rates).forward(text.clone(), &[4], key))),
        ("tagger", &|rates, key| values(tagger(rates).emissions(&sentences(), key))),
        ("language model", &|rates, key| values(model(rates).forward(text.clone(), &[4], None, key).features)),
        ("encoder and decoder", &|rates, key| {
            let pair = pair(rates);
            values(pair.decode(pair.encode(text.clone(), &[4], key), text.clone(), &[4], key).0)
        }),
        ("forecaster", &|[_, rate], key| {
            values(forecaster(rate).forward(tensor(numbers(16, 1), [1, 4, 4], &device), &[4], key))
        }),
    ];
    let key = Some(Key::new(1, Purpose::Dropout));
    for (network, output) in outputs {
        let plain = output([0.0, 0.0], None);
        assert_eq!(output([0.0, 0.0], key), plain, "{network}");
        for rates in [[0.5, 0.0], [0.0, 0.5]] {
            assert_eq!(output(rates, None), plain, "{network} {rates:?}: nothing is dropped without a key");
            if network != "forecaster" || rates[1] > 0.0 {
                assert_ne!(output(rates, key), plain, "{network} {rates:?}");
            }
        }
    }
}

#[test]
fn dropout_of_the_input_of_recurrent_layers_leaves_out_whole_features_of_an_example() {
    let (_, device) = devices().remove(0);
    let rates = RegularizationRates { input_dropout: 0.5, ..RegularizationRates::default() };
    for architecture in [Architecture::Gru, Architecture::BiLstm] {
        let initial = Key::new(1, Purpose::Weights);
        let shape = || StackShape::plain(architecture, 6, vec![5]);
        let plain = Stack::new(shape(), initial, &device);
        let stack = Stack::new(StackShape { rates, ..shape() }, initial, &device);
        let inputs = numbers(2 * 3 * 6, 1);
        let x = || tensor(inputs.clone(), [2, 3, 6], &device);
        let forward =
            |stack: &Stack, x: Tensor<3>, key: DropoutKey| values(stack.forward(x, &[3, 3], None, key).outputs);
        let key = Key::new(1, Purpose::Dropout);
        let dropped = forward(&stack, x(), DropoutKey::new(key, key, &[7, 8]));
        assert_eq!(forward(&stack, x(), DropoutKey::NONE), forward(&plain, x(), DropoutKey::NONE));
        // Each feature of an example is either left out or doubled at every time step: one of the 2¹² masks gives the same outputs.
        let masked = |mask: usize| {
            let factor = |index: usize| if mask >> (index / 18 * 6 + index % 6) & 1 == 1 { 2.0 } else { 0.0 };
            let masked: Vec<f32> = inputs.iter().enumerate().map(|(index, input)| input * factor(index)).collect();
            difference(&forward(&plain, tensor(masked, [2, 3, 6], &device), DropoutKey::NONE), &dropped) < 1e-5
        };
        let masks: Vec<usize> = (0..1 << 12).filter(|&mask| masked(mask)).collect();
        assert!(masks.len() == 1 && masks[0].count_ones() < 12, "{}: {masks:?}", architecture.name());
    }
}
