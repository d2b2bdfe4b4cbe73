//! Heads and networks: CRF against enumeration of all label sequences, attention, pooling and losses against their
//! formulas, masks.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use proptest::prelude::*;
use seqzoo_kernels::devices;
use seqzoo_models::Architecture;
use seqzoo_models::layers::stack::RegularizationRates;
use seqzoo_models::layers::{
    Attention, AttentionScore, CharacterEncoderShape, Crf, Perceptron, PerceptronShape, Pooling, SequencePooling, Skip,
    StackShape, WordCharacters,
};
use seqzoo_models::networks::{
    BackboneShape, Classifier, ClassifierShape, EncoderDecoder, EncoderDecoderShape, ForecastHead, Forecaster,
    ForecasterShape, Generation, LanguageModel, LanguageModelShape, RelationClassifier, RelationShape, Tagger,
    TaggerInput, TaggerShape,
};
use seqzoo_random::{Key, Purpose};

use crate::support::{difference, gradients, key, numbers, parameters, tensor, values, with_parameters};

fn tokens(rows: &[Vec<i32>], time: usize, padding: i32, device: &Device) -> Tensor<2, Int> {
    let filled =
        |row: &Vec<i32>| -> Vec<i32> { row.iter().copied().chain(std::iter::repeat(padding)).take(time).collect() };
    Tensor::from_data(TensorData::new(rows.iter().flat_map(filled).collect::<Vec<i32>>(), [rows.len(), time]), device)
}

fn bilstm(input_size: usize) -> StackShape {
    StackShape::plain(Architecture::BiLstm, input_size, vec![3])
}

/// A small tagger without a character encoder.
fn tagger() -> TaggerShape {
    TaggerShape {
        vocabulary: 9,
        embedding_size: 4,
        character_encoder: None,
        stack: bilstm(4),
        labels: 3,
        crf: false,
        dropout: 0.0,
        embedding_dropout: 0.0,
    }
}

/// All label sequences of this length.
fn paths(labels: usize, length: usize) -> Vec<Vec<usize>> {
    (0..length).fold(vec![Vec::new()], |paths, _| {
        let longer =
            |path: &Vec<usize>| (0..labels).map(|label| [path.clone(), vec![label]].concat()).collect::<Vec<_>>();
        paths.iter().flat_map(longer).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_crf_equals_enumeration_of_all_label_sequences(labels in 2..4usize, lengths in proptest::collection::vec(1..5usize, 1..4), index in 0..99u64) {
        let (batch, time) = (lengths.len(), 1 + lengths.iter().max().unwrap());
        for (_, device) in devices() {
            let device = device.autodiff();
            let drawn = |name: &str, count: usize| numbers(count, index + name.len() as u64).into_iter().map(f64::from).collect();
            let crf = with_parameters(Crf::new(labels, key(index), &device), &drawn, DType::F32);
            let weights = parameters(&crf);
            let all = numbers(batch * time * labels, index).iter().map(|value| value * 3.0).collect::<Vec<_>>();
            let emissions = tensor(all.clone(), [batch, time, labels], &device);
            let score = |row: usize, path: &Vec<usize>| -> f64 {
                let emitted = path.iter().enumerate().map(|(step, label)| all[(row * time + step) * labels + label]);
                let followed = path.windows(2).map(|pair| weights["transition"][pair[0] * labels + pair[1]]);
                let ends = [weights["start"][path[0]], weights["end"][path[path.len() - 1]]];
                emitted.chain(followed).chain(ends).map(f64::from).sum()
            };
            let decoded = crf.decode(emissions.clone(), &lengths);
            let found = values(crf.log_partition(emissions.clone(), &lengths));
            let targets: Vec<Vec<usize>> = lengths.iter().map(|&length| (0..length).map(|step| step % labels).collect()).collect();
            let likelihoods = values(crf.log_likelihood(emissions, &targets));
            for (row, &length) in lengths.iter().enumerate() {
                let all = paths(labels, length);
                let sum = all.iter().map(|path| score(row, path).exp()).sum::<f64>().ln();
                prop_assert!((f64::from(found[row]) - sum).abs() < 1e-4, "{} against {sum}", found[row]);
                let expected = score(row, &targets[row]) - sum;
                prop_assert!((f64::from(likelihoods[row]) - expected).abs() < 1e-4);
                let best = all.iter().map(|path| score(row, path)).fold(f64::MIN, f64::max);
                prop_assert!((score(row, &decoded[row]) - best).abs() < 1e-5, "Viterbi finds the best path");
            }
        }
    }

    #[test]
    fn attention_equals_its_formula(count in 1..4usize, lengths in proptest::collection::vec(1..5usize, 1..4), index in 0..99u64) {
        let (batch, time, size) = (lengths.len(), 1 + lengths.iter().max().unwrap(), 3);
        for (_, device) in devices() {
            for kind in [AttentionScore::Dot, AttentionScore::General, AttentionScore::Additive] {
                let attention = Attention::new(kind, size, size, key(index), &device);
                let weights = parameters(&attention);
                let (queries, memory) = (numbers(batch * count * size, index), numbers(batch * time * size, index + 100));
                let attention = attention.forward(
                    tensor(queries.clone(), [batch, count, size], &device), tensor(memory.clone(), [batch, time, size], &device), &lengths,
                );
                let mapped = |vector: &[f32], name: &str| -> Vec<f32> {
                    (0..size).map(|column| (0..size).map(|row| vector[row] * weights[name][row * size + column]).sum()).collect()
                };
                let dot = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
                let score = |q: &[f32], m: &[f32]| match kind {
                    AttentionScore::Dot => dot(q, m),
                    AttentionScore::General => dot(&mapped(q, "weight_query"), m),
                    AttentionScore::Additive => {
                        let sum = mapped(q, "weight_query").iter().zip(mapped(m, "weight_memory")).map(|(a, b)| (a + b).tanh()).collect::<Vec<_>>();
                        dot(&sum, &weights["vector"])
                    }
                };
                let mut contexts = Vec::new();
                for (row, &length) in lengths.iter().enumerate() {
                    let memories: Vec<&[f32]> = (0..length).map(|t| &memory[(row * time + t) * size..][..size]).collect();
                    for u in 0..count {
                        let q = &queries[(row * count + u) * size..][..size];
                        let exps: Vec<f32> = memories.iter().map(|m| score(q, m).exp()).collect();
                        let total: f32 = exps.iter().sum();
                        contexts.extend((0..size).map(|f| memories.iter().zip(&exps).map(|(m, e)| m[f] * e / total).sum::<f32>()));
                    }
                }
                prop_assert!(difference(&values(attention.context), &contexts) < 1e-4, "{kind:?}");
                let rows = values(attention.weights);
                let sums_to_one = rows.chunks(time).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                prop_assert!(sums_to_one, "{kind:?}: weights sum to one");
            }
        }
    }
}

#[test]
fn poolings_equal_their_formulas_and_ignore_padding() {
    for (_, device) in devices() {
        let (lengths, time) = ([3, 1], 4);
        let all = numbers(2 * time * 2, 7);
        let outputs = tensor(all.clone(), [2, time, 2], &device);
        let at = |row: usize, step: usize, feature: usize| all[(row * time + step) * 2 + feature];
        let over = |row: usize, feature: usize| (0..lengths[row]).map(move |step| (row, step, feature));
        let summary = |pooling, directions| {
            values(SequencePooling::new(pooling, 2, key(1), &device).forward(outputs.clone(), &lengths, directions))
        };
        let each = |of: &dyn Fn(usize, usize) -> f32| vec![of(0, 0), of(0, 1), of(1, 0), of(1, 1)];
        let mean = |row: usize, f: usize| over(row, f).map(|(r, s, f)| at(r, s, f)).sum::<f32>() / lengths[row] as f32;
        let max = |row: usize, f: usize| over(row, f).map(|(r, s, f)| at(r, s, f)).fold(f32::MIN, f32::max);
        assert!(difference(&summary(Pooling::Mean, 1), &each(&mean)) < 1e-6);
        assert!(difference(&summary(Pooling::Max, 1), &each(&max)) < 1e-6);
        assert!(difference(&summary(Pooling::Last, 1), &each(&|row, f| at(row, lengths[row] - 1, f))) < 1e-6);
        let both = each(&|row, f| if f == 0 { at(row, lengths[row] - 1, 0) } else { at(row, 0, 1) });
        assert!(difference(&summary(Pooling::Last, 2), &both) < 1e-6);
        let scorer = SequencePooling::new(Pooling::Attention, 2, key(1), &device);
        let weights = parameters(&scorer);
        let (w, v) = (&weights["attention.weight"], &weights["attention.vector"]);
        let score = |row: usize, step: usize| {
            let hidden = |column: usize| (at(row, step, 0) * w[column] + at(row, step, 1) * w[2 + column]).tanh();
            (v[0] * hidden(0) + v[1] * hidden(1)).exp()
        };
        let weighted = |row: usize, f: usize| {
            let total: f32 = (0..lengths[row]).map(|step| score(row, step)).sum();
            (0..lengths[row]).map(|step| score(row, step) / total * at(row, step, f)).sum()
        };
        assert!(difference(&summary(Pooling::Attention, 1), &each(&weighted)) < 1e-5);
    }
}

#[test]
fn padding_changes_no_loss_and_no_gradient_of_a_tagger() {
    for (_, device) in devices() {
        let device = device.autodiff();
        for crf in [false, true] {
            let character_encoder = CharacterEncoderShape { characters: 5, stack: bilstm(2) };
            let shape = TaggerShape { character_encoder: Some(character_encoder), stack: bilstm(10), crf, ..tagger() };
            let tagger = Tagger::new(shape, 1, &device);
            let rows = [vec![2, 3, 4, 5], vec![6, 7]];
            let labels = [vec![0, 2, 1, 1], vec![2, 0]];
            let words = [vec![1, 2, 3], vec![4], vec![1, 1]];
            let sentences = |time: usize, padding: i32| TaggerInput {
                tokens: tokens(&rows, time, padding, &device),
                lengths: vec![4, 2],
                characters: Some(WordCharacters {
                    characters: tokens(&words, time, padding % 5, &device),
                    lengths: vec![3, 1, 2],
                    word_indices: tokens(&[vec![0, 1, 2, 0], vec![1, 1]], time, padding % 3, &device),
                }),
            };
            let at = |time: usize, padding: i32| {
                let loss = tagger.loss(&sentences(time, padding), &labels, None);
                (values(loss.clone()), gradients(&tagger, &loss.backward()))
            };
            let (exact, gradients) = at(4, 0);
            let (padded, padded_gradients) = at(7, 8);
            assert!(difference(&padded, &exact) < 1e-5);
            for (name, gradient) in &gradients {
                assert!(difference(&padded_gradients[name], gradient) < 1e-4, "{name}");
            }
            let (decoded, loss) = tagger.decode(&sentences(7, 8), Some(&labels));
            assert_eq!(decoded, tagger.decode(&sentences(4, 0), None).0);
            assert!((loss.unwrap() - f64::from(exact[0])).abs() < 1e-5);
            assert_eq!(decoded.iter().map(Vec::len).collect::<Vec<_>>(), [4, 2]);
        }
    }
}

#[test]
fn tied_embeddings_replace_the_output_weights_and_text_can_be_split_anywhere() {
    for (_, device) in devices() {
        for tied in [false, true] {
            let stack = StackShape::plain(Architecture::Lstm, 4, vec![4, 4]);
            let model = LanguageModel::new(
                LanguageModelShape { vocabulary: 9, stack, tied, dropout: 0.0, embedding_dropout: 0.0 },
                1,
                &device,
            );
            assert_eq!(parameters(&model).contains_key("output.weight"), !tied);
            let text = [vec![1, 2, 3, 4, 5, 6, 7], vec![7, 6, 5, 4, 3, 2, 1]];
            let whole = model.scores(model.forward(tokens(&text, 7, 0, &device), &[7, 7], None, None).features);
            let [first, second] = [0..3, 3..7].map(|part| text.clone().map(|row| row[part.clone()].to_vec()));
            let first = model.forward(tokens(&first, 3, 0, &device), &[3, 3], None, None);
            let second = model.forward(tokens(&second, 4, 0, &device), &[4, 4], Some(first.states), None);
            let parts = Tensor::cat(vec![model.scores(first.features), model.scores(second.features)], 1);
            assert!(difference(&values(parts), &values(whole)) < 1e-5);
        }
    }
}

#[test]
fn token_by_token_scores_equal_whole_text_scores() {
    for (_, device) in devices() {
        // A stack that streams, one with skip connections, one whose cell has no kernel.
        let plain = StackShape::plain(Architecture::Gru, 5, vec![8, 6]);
        let residual = StackShape { skip: Skip::Residual, ..StackShape::plain(Architecture::Lstm, 5, vec![5, 5]) };
        let stepwise = StackShape::plain(Architecture::PeepholeLstm, 5, vec![5]);
        for (stack, tied) in [(plain, false), (residual, true), (stepwise, false)] {
            let model = LanguageModel::new(
                LanguageModelShape { vocabulary: 9, stack, tied, dropout: 0.0, embedding_dropout: 0.0 },
                1,
                &device,
            );
            let text = vec![1, 8, 3, 0, 5, 6, 7];
            let whole = model
                .scores(model.forward(tokens(std::slice::from_ref(&text), 7, 0, &device), &[7], None, None).features);
            let (mut stream, mut scores, mut all) = (model.stream(&device), Vec::new(), Vec::new());
            for token in text {
                stream.step(token as u32, &mut scores);
                all.extend_from_slice(&scores);
            }
            assert!(difference(&all, &values(whole)) < 1e-5);
        }
    }
}

#[test]
fn equal_scores_give_a_loss_of_log_vocabulary() {
    let device = devices().remove(0).1.autodiff();
    let stack = StackShape::plain(Architecture::Gru, 4, vec![4]);
    let shape = LanguageModelShape { vocabulary: 9, stack, tied: false, dropout: 0.0, embedding_dropout: 0.0 };
    let model = LanguageModel::new(shape, 1, &device);
    let flat = with_parameters(model, &|_, count| vec![0.0; count], DType::F32);
    let loss = flat.loss(tokens(&[vec![1, 2, 3], vec![4]], 3, 0, &device), &[vec![2, 3, 8], vec![0]], None);
    assert!((values(loss)[0] - 9f32.ln()).abs() < 1e-5);
}

#[test]
fn forecast_losses_equal_their_formulas() {
    for (_, device) in devices() {
        let actual = tensor(vec![1.0, 2.0], [1, 2], &device);
        let loss = |head: &ForecastHead, forecast: Vec<f32>| {
            let width = head.output_size();
            values(head.loss(tensor(forecast, [1, 2, width], &device), actual.clone()))[0]
        };
        assert!((loss(&ForecastHead::Point, vec![0.0, 4.0]) - 2.5).abs() < 1e-6);
        // Means 1 and 4, deviations 1 and 2: −log N = log σ + (x − μ)² / 2σ² + log √2π.
        let expected = (0.0 + (2f32.ln() + 0.5)) / 2.0 + 0.5 * std::f32::consts::TAU.ln();
        assert!((loss(&ForecastHead::Gaussian, vec![1.0, 1.0, 4.0, 2.0]) - expected).abs() < 1e-5);
        // The pinball loss is p for a forecast too low by 1, and 1 − p for one too high by 1.
        let quantiles = ForecastHead::Quantiles(vec![0.1, 0.9]);
        assert!((loss(&quantiles, vec![0.0, 0.0, 3.0, 3.0]) - (0.1 + 0.9 + 0.9 + 0.1) / 4.0).abs() < 1e-6);
    }
}

#[test]
fn forecasts_have_their_shape_and_positive_deviations() {
    for (_, device) in devices() {
        let past = tensor(numbers(2 * 5 * 3, 1), [2, 5, 3], &device);
        for head in [ForecastHead::Point, ForecastHead::Gaussian, ForecastHead::Quantiles(vec![0.1, 0.5, 0.9])] {
            let shape = ForecasterShape {
                backbone: BackboneShape::Recurrent(bilstm(3)),
                horizon: 4,
                head: head.clone(),
                dropout: 0.0,
            };
            let forecaster = Forecaster::new(shape, 1, &device);
            let forecast = forecaster.forward(past.clone(), &[5, 3], None);
            assert_eq!(forecast.dims(), [2, 4, head.output_size()]);
            if head == ForecastHead::Gaussian {
                assert!(values(forecast.clone().narrow(2, 1, 1)).iter().all(|&deviation| deviation > 0.0));
            }
            let cut = forecaster.forward(past.clone().narrow(0, 1, 1).narrow(1, 0, 3), &[3], None);
            assert!(difference(&values(cut), &values(forecast.narrow(0, 1, 1))) < 1e-5, "padding changes nothing");
        }
    }
}

#[test]
fn step_by_step_decoding_equals_decoding_the_whole_target() {
    for (_, device) in devices() {
        for attention in [AttentionScore::General, AttentionScore::Additive] {
            let shape = EncoderDecoderShape {
                source_vocabulary: 9,
                target_vocabulary: 7,
                encoder: StackShape::plain(Architecture::BiGru, 4, vec![3]),
                decoder: StackShape::plain(Architecture::Lstm, 5, vec![4, 6]),
                attention,
                dropout: 0.0,
                embedding_dropout: 0.0,
            };
            let model = EncoderDecoder::new(shape, 1, &device);
            let source = [vec![1, 2, 3, 4], vec![5, 6]];
            let generate = |eos: usize| {
                let generation = Generation { bos: 0, eos, suppressed: &[], max_length: 5 };
                model.greedy(tokens(&source, 4, 0, &device), &[4, 2], &generation)
            };
            let generated = generate(7);
            assert!(generated.iter().all(|row| row.len() == 5), "a token that does not exist never ends a row");
            let input: Vec<Vec<i32>> = generated
                .iter()
                .map(|row| [&[0][..], &row[..4]].concat().iter().map(|&t| t as i32).collect())
                .collect();
            let memory = model.encode(tokens(&source, 6, 8, &device), &[4, 2], None);
            let (scores, _) = model.decode(memory, tokens(&input, 5, 0, &device), &[5, 5], None);
            let best = scores.argmax(2).try_into_vec_as::<i64>().unwrap();
            assert_eq!(best, generated.concat().iter().map(|&token| token as i64).collect::<Vec<_>>());
            let ended = generate(generated[0][0]);
            assert!(ended[0].is_empty(), "the end token is not returned");
        }
    }
}

#[test]
fn teacher_forcing_ignores_padding_on_both_sides() {
    for (_, device) in devices() {
        let device = device.autodiff();
        let shape = EncoderDecoderShape {
            source_vocabulary: 9,
            target_vocabulary: 7,
            encoder: bilstm(4),
            decoder: StackShape::plain(Architecture::Gru, 5, vec![4]),
            attention: AttentionScore::General,
            dropout: 0.0,
            embedding_dropout: 0.0,
        };
        let model = EncoderDecoder::new(shape, 1, &device);
        let (source, target) = ([vec![1, 2, 3], vec![4]], [vec![1, 2, 3, 4], vec![5]]);
        let loss = |rows: &[Vec<i32>], lengths: &[usize], time: usize, target: &[Vec<usize>]| {
            f64::from(values(model.loss(tokens(rows, time, 8, &device), lengths, 0, target, None))[0])
        };
        let together = loss(&source, &[3, 1], 6, &target);
        let alone = (4.0 * loss(&source[..1], &[3], 3, &target[..1]) + loss(&source[1..], &[1], 1, &target[1..])) / 5.0;
        assert!((together - alone).abs() < 1e-5, "{together} against {alone}");
    }
}

#[test]
fn relations_depend_on_the_spans_but_not_on_padding() {
    for (_, device) in devices() {
        let shape = RelationShape { vocabulary: 9, stack: bilstm(4), labels: 3 };
        let classifier = RelationClassifier::new(shape, 1, &device);
        let rows = [vec![1, 2, 3, 4, 5], vec![6, 7, 8]];
        let scores = |time: usize, spans: &[[std::ops::Range<usize>; 2]]| {
            values(classifier.forward(tokens(&rows, time, 8, &device), &[5, 3], spans, None))
        };
        let spans = [[0..1, 3..5], [0..1, 2..3]];
        assert!(difference(&scores(8, &spans), &scores(5, &spans)) < 1e-5);
        let swapped = spans.clone().map(|[first, second]| [second, first]);
        assert!(difference(&scores(5, &swapped), &scores(5, &spans)) > 1e-3, "the order of the spans matters");
    }
}

/// An encoder–decoder with four tokens and an end token, and large weights, so that probabilities differ.
fn encoder_decoder(seed: u64, device: &Device) -> EncoderDecoder {
    let shape = EncoderDecoderShape {
        source_vocabulary: 5,
        target_vocabulary: 5,
        encoder: bilstm(4),
        decoder: StackShape::plain(Architecture::Lstm, 4, vec![6]),
        attention: AttentionScore::General,
        dropout: 0.0,
        embedding_dropout: 0.0,
    };
    let weights = |name: &str, count| {
        numbers(count, seed + name.len() as u64).into_iter().map(|value| 3.0 * f64::from(value)).collect()
    };
    with_parameters(EncoderDecoder::new(shape, seed, device), &weights, DType::F32)
}

/// Tokens 2 and 3 can be generated, 4 is the end token, 0 and 1 are padding and unknown.
const GENERATION: Generation = Generation { bos: 0, eos: 4, suppressed: &[0, 1], max_length: 3 };

#[test]
fn beam_width_one_is_greedy_and_a_wide_beam_ranks_all_targets_by_probability() {
    let (_, device) = devices().remove(0); // the search does not depend on the device
    for seed in 0..4 {
        let network = encoder_decoder(seed, &device);
        let source = tokens(&[vec![1, 2, 4]], 3, 0, &device);
        let beam = |width| network.beam_search(source.clone(), 3, &GENERATION, width);
        let greedy = network.greedy(source.clone(), &[3], &GENERATION).remove(0);
        assert_eq!(beam(1)[0].tokens, greedy);
        // All targets of up to three tokens, each with its log-probability from the loss.
        let Generation { bos, eos, max_length, .. } = GENERATION;
        let log_probability = |target: &[usize], ended: bool| -> f64 {
            let target: Vec<usize> = target.iter().copied().chain(ended.then_some(eos)).collect();
            let count = target.len() as f64;
            -f64::from(values(network.loss(source.clone(), &[3], bos, &[target], None))[0]) * count
        };
        let allowed =
            |length: usize| paths(2, length).into_iter().map(|path| path.iter().map(|&token| token + 2).collect());
        let short = (0..max_length).flat_map(allowed).map(|path: Vec<usize>| (log_probability(&path, true), path));
        let long = allowed(max_length).map(|path: Vec<usize>| (log_probability(&path, false), path));
        let mut all: Vec<(f64, Vec<usize>)> = short.chain(long).collect();
        all.sort_by(|one, other| other.0.total_cmp(&one.0));
        let found = beam(50);
        assert_eq!(found.len(), 1 + 2 + 4 + 8);
        for (found, (log_probability, target)) in found.iter().zip(&all) {
            assert!((found.log_probability - log_probability).abs() < 1e-4, "{found:?} {target:?} {log_probability}");
            assert_eq!(&found.tokens, target);
        }
    }
}

#[test]
fn beam_search_is_at_least_as_probable_as_greedy_and_suppresses_tokens() {
    let (_, device) = devices().remove(0);
    let generation = Generation { max_length: 6, ..GENERATION };
    let all = Generation { suppressed: &[], ..generation };
    let mut suppressed = 0;
    for seed in 0..60 {
        let network = encoder_decoder(seed, &device);
        let source = tokens(&[vec![4, 2, 1]], 3, 0, &device);
        let greedy = network.beam_search(source.clone(), 3, &generation, 1).remove(0);
        for width in 2..6 {
            let found = network.beam_search(source.clone(), 3, &generation, width);
            assert!(found[0].log_probability >= greedy.log_probability - 1e-6, "seed {seed}, width {width}");
            assert!(found.iter().flat_map(|found| &found.tokens).all(|token| [2, 3].contains(token)), "{found:?}");
            let distinct: std::collections::HashSet<_> = found.iter().map(|found| &found.tokens).collect();
            assert_eq!((distinct.len(), found.len()), (width, width));
        }
        suppressed += usize::from(network.greedy(source, &[3], &all).concat().iter().any(|token| *token < 2));
    }
    assert!(suppressed > 0, "without suppression some of these networks generate padding");
}

#[test]
fn a_perceptron_depends_on_the_order_of_its_window() {
    for (_, device) in devices() {
        let shape = PerceptronShape { window: 4, features: 2, hidden_sizes: vec![5, 3] };
        let perceptron = Perceptron::new(&shape, key(1), &device);
        let input = tensor(numbers(16, 3), [2, 4, 2], &device);
        let output = perceptron.forward(input.clone());
        assert_eq!((output.dims(), shape.output_size()), ([2, 3], 3));
        assert!(difference(&values(perceptron.forward(input.flip([1]))), &values(output)) > 1e-3, "order matters");
        let refused = PerceptronShape { hidden_sizes: vec![], ..shape }.check().unwrap_err();
        assert_eq!(refused.field, "hidden_sizes");
    }
}

#[test]
fn invalid_shapes_are_refused_by_field() {
    let stack = |architecture| StackShape::plain(architecture, 4, vec![5, 4]);
    let gru = || stack(Architecture::Gru);
    let tagger = TaggerShape { stack: gru(), labels: 2, crf: true, ..tagger() };
    let model = LanguageModelShape { vocabulary: 9, stack: gru(), tied: true, dropout: 0.0, embedding_dropout: 0.0 };
    let classifier = ClassifierShape {
        vocabulary: 9,
        stack: gru(),
        pooling: Pooling::Last,
        labels: 2,
        dropout: 0.0,
        embedding_dropout: 0.0,
    };
    let forecaster = ForecasterShape {
        backbone: BackboneShape::Recurrent(gru()),
        horizon: 1,
        head: ForecastHead::Quantiles(vec![0.1, 0.9]),
        dropout: 0.0,
    };
    let pair = EncoderDecoderShape {
        source_vocabulary: 9,
        target_vocabulary: 7,
        encoder: bilstm(4),
        decoder: gru(),
        attention: AttentionScore::General,
        dropout: 0.0,
        embedding_dropout: 0.0,
    };
    let relation = RelationShape { vocabulary: 9, stack: gru(), labels: 2 };
    let rates = |zoneout| RegularizationRates { zoneout, ..RegularizationRates::default() };
    let valid = [
        tagger.check(),
        model.check(),
        classifier.check(),
        forecaster.check(),
        pair.check(),
        relation.check(),
        StackShape { rates: rates(0.9), ..gru() }.check(),
        StackShape { skip: Skip::Highway, projection: true, ..gru() }.check(),
    ];
    assert!(valid.iter().all(Result::is_ok), "{valid:?}");
    let refused = [
        ("hidden_sizes", "at least one layer", StackShape { hidden_sizes: vec![], ..gru() }.check()),
        ("hidden_sizes", "at least 1", StackShape { hidden_sizes: vec![3, 0], ..gru() }.check()),
        ("input_size", "at least 1", StackShape { input_size: 0, ..gru() }.check()),
        ("hidden_sizes", "joins 4 features to 5", StackShape { skip: Skip::Highway, ..gru() }.check()),
        ("hidden_sizes", "joins 4 features to 5", StackShape { skip: Skip::Residual, ..gru() }.check()),
        ("zoneout", "1 is not in [0, 1)", StackShape { rates: rates(1.0), ..gru() }.check()),
        ("zoneout", "NaN is not in [0, 1)", StackShape { rates: rates(f64::NAN), ..gru() }.check()),
        ("labels", "at least two labels", TaggerShape { labels: 1, ..tagger.clone() }.check()),
        ("labels", "at least 1", TaggerShape { labels: 0, crf: false, ..tagger.clone() }.check()),
        (
            "stack.input_size",
            "have 5 features, the stack expects 4",
            TaggerShape { embedding_size: 5, ..tagger }.check(),
        ),
        (
            "stack.architecture",
            "would see the tokens that a language model predicts",
            LanguageModelShape { stack: stack(Architecture::BiGru), tied: false, ..model.clone() }.check(),
        ),
        (
            "tied",
            "got 5 and 4",
            LanguageModelShape { stack: StackShape::plain(Architecture::Gru, 4, vec![5]), ..model.clone() }.check(),
        ),
        ("dropout", "-0.1 is not in [0, 1)", LanguageModelShape { dropout: -0.1, ..model }.check()),
        ("labels", "at least 1", ClassifierShape { labels: 0, ..classifier.clone() }.check()),
        ("embedding_dropout", "1 is not", ClassifierShape { embedding_dropout: 1.0, ..classifier }.check()),
        ("horizon", "at least 1", ForecasterShape { horizon: 0, ..forecaster.clone() }.check()),
        (
            "head",
            "between 0 and 1",
            ForecasterShape { head: ForecastHead::Quantiles(vec![0.5, 1.0]), ..forecaster.clone() }.check(),
        ),
        ("head", "at least one", ForecasterShape { head: ForecastHead::Quantiles(vec![]), ..forecaster }.check()),
        (
            "decoder.architecture",
            "would see the tokens that a decoder generates",
            EncoderDecoderShape { decoder: stack(Architecture::BiRnn), ..pair.clone() }.check(),
        ),
        ("attention", "got 4 and 6", EncoderDecoderShape { attention: AttentionScore::Dot, ..pair.clone() }.check()),
        ("target_vocabulary", "at least 1", EncoderDecoderShape { target_vocabulary: 0, ..pair }.check()),
        ("vocabulary", "at least 1", RelationShape { vocabulary: 0, ..relation }.check()),
    ];
    for (field, reason, found) in refused {
        let error = found.expect_err(reason);
        assert!(error.field == field && error.reason.contains(reason), "{field}, {reason}: {error}");
    }
}

#[test]
#[should_panic(expected = "labels: a CRF needs at least two labels, got 1")]
fn building_an_invalid_shape_panics() {
    Crf::new(1, key(0), &devices().remove(0).1);
}

#[test]
#[should_panic(expected = "lengths [2, 0] must be in 1..=3")]
fn attention_over_an_empty_row_panics() {
    let (_, device) = devices().remove(0);
    let attention = Attention::new(AttentionScore::Dot, 2, 2, key(0), &device);
    attention.forward(Tensor::ones([2, 1, 2], &device), Tensor::ones([2, 3, 2], &device), &[2, 0]);
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
            source_vocabulary: 9,
            target_vocabulary: 9,
            encoder: stack(),
            decoder: stack(),
            attention: AttentionScore::General,
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
fn encoder_and_decoder_draw_different_masks() {
    let (_, device) = devices().remove(0);
    let half = || {
        let rates = RegularizationRates { zoneout: 0.5, ..RegularizationRates::default() };
        StackShape { rates, ..StackShape::plain(Architecture::Rnn, 4, vec![64]) }
    };
    let shape = EncoderDecoderShape {
        source_vocabulary: 9,
        target_vocabulary: 9,
        encoder: half(),
        decoder: half(),
        attention: AttentionScore::Dot,
        dropout: 0.0,
        embedding_dropout: 0.0,
    };
    // With equal weights and tokens in encoder and decoder, equal masks would give equal outputs.
    let equal = |name: &str, count: usize| match name {
        "source.weight" | "target.weight" => numbers(count, 1).into_iter().map(f64::from).collect(),
        _ if name.ends_with("weight_ih") || name.ends_with("weight_hh") => vec![0.05; count],
        _ => vec![0.0; count],
    };
    let model = with_parameters(EncoderDecoder::new(shape, 1, &device), &equal, DType::F32);
    let text = tokens(&[vec![1, 2, 3, 4]], 4, 0, &device);
    let key = Some(Key::new(1, Purpose::Dropout));
    let memory = model.encode(text.clone(), &[4], key);
    let encoded = values(memory.outputs().clone());
    let decoded = values(model.decode(memory, text, &[4], key).1.states()[0].forward.hidden.clone());
    let last = &encoded[3 * 64..];
    let zeros = |row: &[f32]| -> Vec<bool> { row.iter().map(|&value| value == 0.0).collect() };
    assert_ne!(zeros(&decoded), zeros(last));
    assert!(difference(&decoded, last) > 0.01);
}
