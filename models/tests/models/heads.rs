//! Heads and networks: CRF against sums over every path, attention and losses against formulas written out, masks.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use proptest::prelude::*;
use seqzoo_kernels::devices;
use seqzoo_models::Architecture;
use seqzoo_models::layers::stack::StackRates;
use seqzoo_models::layers::{
    Attention, AttentionScore, CharacterEncoderShape, Crf, Perceptron, PerceptronShape, Pooling, Skip, StackShape,
    Summary, WordCharacters,
};
use seqzoo_models::networks::{
    Classifier, ClassifierShape, EncoderDecoder, EncoderDecoderShape, ForecastHead, Forecaster, ForecasterShape,
    Generation, LanguageModel, LanguageModelShape, PastShape, RelationClassifier, RelationShape, Sentences, Tagger,
    TaggerShape,
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

/// A small tagger that reads no letters.
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

/// Every sequence of `length` labels.
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
    fn a_crf_equals_the_sum_and_the_best_over_every_path(labels in 2..4usize, lengths in proptest::collection::vec(1..5usize, 1..4), place in 0..99u64) {
        let (batch, time) = (lengths.len(), 1 + lengths.iter().max().unwrap());
        for (_, device) in devices() {
            let device = device.autodiff();
            let drawn = |name: &str, count: usize| numbers(count, place + name.len() as u64).into_iter().map(f64::from).collect();
            let crf = with_parameters(Crf::new(labels, key(place), &device), &drawn, DType::F32);
            let weights = parameters(&crf);
            let all = numbers(batch * time * labels, place).iter().map(|value| value * 3.0).collect::<Vec<_>>();
            let emissions = tensor(all.clone(), [batch, time, labels], &device);
            let score = |row: usize, path: &Vec<usize>| -> f64 {
                let emitted = path.iter().enumerate().map(|(step, label)| all[(row * time + step) * labels + label]);
                let followed = path.windows(2).map(|pair| weights["transition"][pair[0] * labels + pair[1]]);
                let ends = [weights["start"][path[0]], weights["end"][path[path.len() - 1]]];
                emitted.chain(followed).chain(ends).map(f64::from).sum()
            };
            let decoded = crf.decode(emissions.clone(), &lengths);
            let found = values(crf.log_partition(emissions.clone(), &lengths));
            let given: Vec<Vec<usize>> = lengths.iter().map(|&length| (0..length).map(|step| step % labels).collect()).collect();
            let likelihoods = values(crf.log_likelihood(emissions, &given));
            for (row, &length) in lengths.iter().enumerate() {
                let all = paths(labels, length);
                let sum = all.iter().map(|path| score(row, path).exp()).sum::<f64>().ln();
                prop_assert!((f64::from(found[row]) - sum).abs() < 1e-4, "{} against {sum}", found[row]);
                let expected = score(row, &given[row]) - sum;
                prop_assert!((f64::from(likelihoods[row]) - expected).abs() < 1e-4);
                let best = all.iter().map(|path| score(row, path)).fold(f64::MIN, f64::max);
                prop_assert!((score(row, &decoded[row]) - best).abs() < 1e-5, "Viterbi finds the best path");
            }
        }
    }

    #[test]
    fn attention_equals_its_formula(asked in 1..4usize, lengths in proptest::collection::vec(1..5usize, 1..4), place in 0..99u64) {
        let (batch, time, size) = (lengths.len(), 1 + lengths.iter().max().unwrap(), 3);
        for (_, device) in devices() {
            for kind in [AttentionScore::Dot, AttentionScore::General, AttentionScore::Additive] {
                let attention = Attention::new(kind, size, size, key(place), &device);
                let weights = parameters(&attention);
                let (queries, memory) = (numbers(batch * asked * size, place), numbers(batch * time * size, place + 100));
                let attended = attention.forward(
                    tensor(queries.clone(), [batch, asked, size], &device), tensor(memory.clone(), [batch, time, size], &device), &lengths,
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
                    let places: Vec<&[f32]> = (0..length).map(|t| &memory[(row * time + t) * size..][..size]).collect();
                    for u in 0..asked {
                        let q = &queries[(row * asked + u) * size..][..size];
                        let exps: Vec<f32> = places.iter().map(|m| score(q, m).exp()).collect();
                        let total: f32 = exps.iter().sum();
                        contexts.extend((0..size).map(|f| places.iter().zip(&exps).map(|(m, e)| m[f] * e / total).sum::<f32>()));
                    }
                }
                prop_assert!(difference(&values(attended.context), &contexts) < 1e-4, "{kind:?}");
                let rows = values(attended.weights);
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
            values(Summary::new(pooling, 2, key(1), &device).forward(outputs.clone(), &lengths, directions))
        };
        let each = |of: &dyn Fn(usize, usize) -> f32| vec![of(0, 0), of(0, 1), of(1, 0), of(1, 1)];
        let mean = |row: usize, f: usize| over(row, f).map(|(r, s, f)| at(r, s, f)).sum::<f32>() / lengths[row] as f32;
        let max = |row: usize, f: usize| over(row, f).map(|(r, s, f)| at(r, s, f)).fold(f32::MIN, f32::max);
        assert!(difference(&summary(Pooling::Mean, 1), &each(&mean)) < 1e-6);
        assert!(difference(&summary(Pooling::Max, 1), &each(&max)) < 1e-6);
        assert!(difference(&summary(Pooling::Last, 1), &each(&|row, f| at(row, lengths[row] - 1, f))) < 1e-6);
        let both = each(&|row, f| if f == 0 { at(row, lengths[row] - 1, 0) } else { at(row, 0, 1) });
        assert!(difference(&summary(Pooling::Last, 2), &both) < 1e-6);
        let scorer = Summary::new(Pooling::Attention, 2, key(1), &device);
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
            let character_encoder = CharacterEncoderShape { letters: 5, stack: bilstm(2) };
            let shape = TaggerShape { character_encoder: Some(character_encoder), stack: bilstm(10), crf, ..tagger() };
            let tagger = Tagger::new(shape, 1, &device);
            let rows = [vec![2, 3, 4, 5], vec![6, 7]];
            let labels = [vec![0, 2, 1, 1], vec![2, 0]];
            let words = [vec![1, 2, 3], vec![4], vec![1, 1]];
            let of = |time: usize, padding: i32| Sentences {
                tokens: tokens(&rows, time, padding, &device),
                lengths: vec![4, 2],
                characters: Some(WordCharacters {
                    letters: tokens(&words, time, padding % 5, &device),
                    lengths: vec![3, 1, 2],
                    places: tokens(&[vec![0, 1, 2, 0], vec![1, 1]], time, padding % 3, &device),
                }),
            };
            let at = |time: usize, padding: i32| {
                let loss = tagger.loss(&of(time, padding), &labels, None);
                (values(loss.clone()), gradients(&tagger, &loss.backward()))
            };
            let (exact, slopes) = at(4, 0);
            let (padded, padded_slopes) = at(7, 8);
            assert!(difference(&padded, &exact) < 1e-5);
            slopes.iter().for_each(|(name, slope)| assert!(difference(&padded_slopes[name], slope) < 1e-4, "{name}"));
            let (decoded, loss) = tagger.decode(&of(7, 8), Some(&labels));
            assert_eq!(decoded, tagger.decode(&of(4, 0), None).0);
            assert!((loss.unwrap() - f64::from(exact[0])).abs() < 1e-5);
            assert_eq!(decoded.iter().map(Vec::len).collect::<Vec<_>>(), [4, 2]);
        }
    }
}

#[test]
fn tied_embeddings_serve_twice_and_text_may_be_cut_anywhere() {
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
            let whole = model.scores(model.read(tokens(&text, 7, 0, &device), &[7, 7], None, None).features);
            let [first, second] = [0..3, 3..7].map(|part| text.clone().map(|row| row[part.clone()].to_vec()));
            let first = model.read(tokens(&first, 3, 0, &device), &[3, 3], None, None);
            let second = model.read(tokens(&second, 4, 0, &device), &[4, 4], Some(first.states), None);
            let parts = Tensor::cat(vec![model.scores(first.features), model.scores(second.features)], 1);
            assert!(difference(&values(parts), &values(whole)) < 1e-5);
        }
    }
}

#[test]
fn a_text_read_token_by_token_has_the_scores_of_the_text_read_at_once() {
    for (_, device) in devices() {
        // One that streams, one whose layers join, one whose cell has no kernel.
        let plain = StackShape::plain(Architecture::Gru, 5, vec![8, 6]);
        let joined = StackShape { skip: Skip::Residual, ..StackShape::plain(Architecture::Lstm, 5, vec![5, 5]) };
        let stepwise = StackShape::plain(Architecture::PeepholeLstm, 5, vec![5]);
        for (stack, tied) in [(plain, false), (joined, true), (stepwise, false)] {
            let model = LanguageModel::new(
                LanguageModelShape { vocabulary: 9, stack, tied, dropout: 0.0, embedding_dropout: 0.0 },
                1,
                &device,
            );
            let text = vec![1, 8, 3, 0, 5, 6, 7];
            let whole =
                model.scores(model.read(tokens(std::slice::from_ref(&text), 7, 0, &device), &[7], None, None).features);
            let (mut reader, mut scores, mut all) = (model.reader(&device), Vec::new(), Vec::new());
            for token in text {
                reader.read(token as u32, &mut scores);
                all.extend_from_slice(&scores);
            }
            assert!(difference(&all, &values(whole)) < 1e-5);
        }
    }
}

#[test]
fn a_language_model_of_equal_scores_loses_the_logarithm_of_its_vocabulary() {
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
        let came = tensor(vec![1.0, 2.0], [1, 2], &device);
        let loss = |head: &ForecastHead, forecast: Vec<f32>| {
            let width = head.width();
            values(head.loss(tensor(forecast, [1, 2, width], &device), came.clone()))[0]
        };
        assert!((loss(&ForecastHead::Point, vec![0.0, 4.0]) - 2.5).abs() < 1e-6);
        // Means 1 and 4, deviations 1 and 2: −log N = log σ + (x − μ)² / 2σ² + log √2π.
        let expected = (0.0 + (2f32.ln() + 0.5)) / 2.0 + 0.5 * std::f32::consts::TAU.ln();
        assert!((loss(&ForecastHead::Gaussian, vec![1.0, 1.0, 4.0, 2.0]) - expected).abs() < 1e-5);
        // Too low by 1 costs the probability, too high by 1 costs 1 minus it.
        let quantiles = ForecastHead::Quantiles(vec![0.1, 0.9]);
        assert!((loss(&quantiles, vec![0.0, 0.0, 3.0, 3.0]) - (0.1 + 0.9 + 0.9 + 0.1) / 4.0).abs() < 1e-6);
    }
}

#[test]
fn a_forecaster_answers_in_its_shape_with_positive_deviations() {
    for (_, device) in devices() {
        let past = tensor(numbers(2 * 5 * 3, 1), [2, 5, 3], &device);
        for head in [ForecastHead::Point, ForecastHead::Gaussian, ForecastHead::Quantiles(vec![0.1, 0.5, 0.9])] {
            let shape =
                ForecasterShape { past: PastShape::Recurrent(bilstm(3)), horizon: 4, head: head.clone(), dropout: 0.0 };
            let forecaster = Forecaster::new(shape, 1, &device);
            let forecast = forecaster.forward(past.clone(), &[5, 3], None);
            assert_eq!(forecast.dims(), [2, 4, head.width()]);
            if head == ForecastHead::Gaussian {
                assert!(values(forecast.clone().narrow(2, 1, 1)).iter().all(|&deviation| deviation > 0.0));
            }
            let cut = forecaster.forward(past.clone().narrow(0, 1, 1).narrow(1, 0, 3), &[3], None);
            assert!(difference(&values(cut), &values(forecast.narrow(0, 1, 1))) < 1e-5, "padding changes nothing");
        }
    }
}

#[test]
fn a_decoder_says_step_by_step_what_it_says_at_once() {
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
            let generate = |end: usize| {
                let generation = Generation { begin: 0, end, suppressed: &[], max_length: 5 };
                model.greedy(tokens(&source, 4, 0, &device), &[4, 2], &generation)
            };
            let written = generate(7);
            assert!(written.iter().all(|row| row.len() == 5), "a token that does not exist never ends a row");
            let told: Vec<Vec<i32>> =
                written.iter().map(|row| [&[0][..], &row[..4]].concat().iter().map(|&t| t as i32).collect()).collect();
            let memory = model.read(tokens(&source, 6, 8, &device), &[4, 2], None);
            let (scores, _) = model.write(memory, tokens(&told, 5, 0, &device), &[5, 5], None);
            let best = scores.argmax(2).try_into_vec_as::<i64>().unwrap();
            assert_eq!(best, written.concat().iter().map(|&token| token as i64).collect::<Vec<_>>());
            let ended = generate(written[0][0]);
            assert!(ended[0].is_empty(), "the end is not written");
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
fn relations_depend_on_the_marked_spans_and_not_on_padding() {
    for (_, device) in devices() {
        let shape = RelationShape { vocabulary: 9, stack: bilstm(4), labels: 3 };
        let classifier = RelationClassifier::new(shape, 1, &device);
        let rows = [vec![1, 2, 3, 4, 5], vec![6, 7, 8]];
        let scores = |time: usize, spans: &[[std::ops::Range<usize>; 2]]| {
            values(classifier.forward(tokens(&rows, time, 8, &device), &[5, 3], spans, None))
        };
        let spans = [[0..1, 3..5], [0..1, 2..3]];
        assert!(difference(&scores(8, &spans), &scores(5, &spans)) < 1e-5);
        let turned = spans.clone().map(|[first, second]| [second, first]);
        assert!(difference(&scores(5, &turned), &scores(5, &spans)) > 1e-3, "direction matters");
    }
}

/// An encoder–decoder of four tokens and an end, with weights of some size, so that probabilities differ.
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

/// Tokens 2 and 3 may be generated, 4 ends, 0 and 1 are padding and unknown.
const GENERATION: Generation = Generation { begin: 0, end: 4, suppressed: &[0, 1], max_length: 3 };

#[test]
fn a_beam_of_one_is_greedy_and_a_wide_one_finds_every_target_once_in_the_order_of_its_probability() {
    let (_, device) = devices().remove(0); // what is searched does not depend on who computes it
    for seed in 0..4 {
        let network = encoder_decoder(seed, &device);
        let source = tokens(&[vec![1, 2, 4]], 3, 0, &device);
        let beam = |width| network.beam(source.clone(), 3, &GENERATION, width);
        let greedy = network.greedy(source.clone(), &[3], &GENERATION).remove(0);
        assert_eq!(beam(1)[0].tokens, greedy);
        // Everything of up to three tokens, each with the loss that it has as a target.
        let Generation { begin, end, max_length, .. } = GENERATION;
        let log_probability = |target: &[usize], ended: bool| -> f64 {
            let target: Vec<usize> = target.iter().copied().chain(ended.then_some(end)).collect();
            let count = target.len() as f64;
            -f64::from(values(network.loss(source.clone(), &[3], begin, &[target], None))[0]) * count
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
fn a_beam_of_any_width_is_at_least_as_probable_as_greedy_and_suppresses_tokens() {
    let (_, device) = devices().remove(0);
    let generation = Generation { max_length: 6, ..GENERATION };
    let all = Generation { suppressed: &[], ..generation };
    let mut suppressed = 0;
    for seed in 0..60 {
        let network = encoder_decoder(seed, &device);
        let source = tokens(&[vec![4, 2, 1]], 3, 0, &device);
        let greedy = network.beam(source.clone(), 3, &generation, 1).remove(0);
        for width in 2..6 {
            let found = network.beam(source.clone(), 3, &generation, width);
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
fn a_perceptron_reads_its_window_by_place_and_is_made_by_its_sizes() {
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
fn shapes_that_make_no_sense_are_refused_by_field() {
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
        past: PastShape::Recurrent(gru()),
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
    let rates = |zoneout| StackRates { zoneout, ..StackRates::default() };
    let sensible = [
        tagger.check(),
        model.check(),
        classifier.check(),
        forecaster.check(),
        pair.check(),
        relation.check(),
        StackShape { rates: rates(0.9), ..gru() }.check(),
        StackShape { skip: Skip::Highway, projection: true, ..gru() }.check(),
    ];
    assert!(sensible.iter().all(Result::is_ok), "{sensible:?}");
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
            "have 5 features, but the stack reads 4",
            TaggerShape { embedding_size: 5, ..tagger }.check(),
        ),
        (
            "stack.architecture",
            "sees the tokens that a language model is to predict",
            LanguageModelShape { stack: stack(Architecture::BiGru), tied: false, ..model.clone() }.check(),
        ),
        (
            "tied",
            "5 is not 4",
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
            "sees what a decoder is to write",
            EncoderDecoderShape { decoder: stack(Architecture::BiRnn), ..pair.clone() }.check(),
        ),
        (
            "attention",
            "joins 4 features to 6",
            EncoderDecoderShape { attention: AttentionScore::Dot, ..pair.clone() }.check(),
        ),
        ("target_vocabulary", "at least 1", EncoderDecoderShape { target_vocabulary: 0, ..pair }.check()),
        ("vocabulary", "at least 1", RelationShape { vocabulary: 0, ..relation }.check()),
    ];
    for (field, reason, found) in refused {
        let invalid_shape = found.expect_err(reason);
        assert!(
            invalid_shape.field == field && invalid_shape.reason.contains(reason),
            "{field}, {reason}: {invalid_shape}"
        );
    }
}

#[test]
#[should_panic(expected = "labels: a conditional random field needs at least two labels, not 1")]
fn what_a_check_refuses_cannot_be_built() {
    Crf::new(1, key(0), &devices().remove(0).1);
}

#[test]
#[should_panic(expected = "lengths [2, 0] of 3 steps")]
fn attention_over_nothing_is_refused() {
    let (_, device) = devices().remove(0);
    let attention = Attention::new(AttentionScore::Dot, 2, 2, key(0), &device);
    attention.forward(Tensor::ones([2, 1, 2], &device), Tensor::ones([2, 3, 2], &device), &[2, 0]);
}

/// What a network says, by its rates of dropout and by noise.
type Says<'a> = &'a dyn Fn([f64; 2], Option<Key>) -> Vec<f32>;

#[test]
fn every_rate_disturbs_training_and_nothing_else() {
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
        let past = PastShape::Recurrent(stack());
        let shape = ForecasterShape { past, horizon: 4, head: ForecastHead::Point, dropout };
        Forecaster::new(shape, 1, &device)
    };
    let sentences = || Sentences { tokens: text.clone(), lengths: vec![4], characters: None };
    let says: [(&str, Says); 5] = [
        ("classifier", &|rates, noise| values(classifier(rates).forward(text.clone(), &[4], noise))),
        ("tagger", &|rates, noise| values(tagger(rates).emissions(&sentences(), noise))),
        ("language model", &|rates, noise| values(model(rates).read(text.clone(), &[4], None, noise).features)),
        ("encoder and decoder", &|rates, noise| {
            let pair = pair(rates);
            values(pair.write(pair.read(text.clone(), &[4], noise), text.clone(), &[4], noise).0)
        }),
        ("forecaster", &|[_, rate], noise| {
            values(forecaster(rate).forward(tensor(numbers(16, 1), [1, 4, 4], &device), &[4], noise))
        }),
    ];
    let noise = Some(Key::new(1, Purpose::Dropout));
    for (network, says) in says {
        let plain = says([0.0, 0.0], None);
        assert_eq!(says([0.0, 0.0], noise), plain, "{network}");
        for rates in [[0.5, 0.0], [0.0, 0.5]] {
            assert_eq!(says(rates, None), plain, "{network} {rates:?}: nothing is dropped without noise");
            if network != "forecaster" || rates[1] > 0.0 {
                assert_ne!(says(rates, noise), plain, "{network} {rates:?}");
            }
        }
    }
}

#[test]
fn the_halves_of_an_encoder_decoder_are_disturbed_by_masks_of_their_own() {
    let (_, device) = devices().remove(0);
    let half = || {
        let rates = StackRates { zoneout: 0.5, ..StackRates::default() };
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
    // With one set of weights and tokens in both halves, equal masks would leave equal outputs.
    let ones = |name: &str, count: usize| match name {
        "source.weight" | "target.weight" => numbers(count, 1).into_iter().map(f64::from).collect(),
        _ if name.ends_with("weight_ih") || name.ends_with("weight_hh") => vec![0.05; count],
        _ => vec![0.0; count],
    };
    let model = with_parameters(EncoderDecoder::new(shape, 1, &device), &ones, DType::F32);
    let text = tokens(&[vec![1, 2, 3, 4]], 4, 0, &device);
    let key = Some(Key::new(1, Purpose::Dropout));
    let memory = model.read(text.clone(), &[4], key);
    let read = values(memory.outputs().clone());
    let written = values(model.write(memory, text, &[4], key).1.states()[0].forward.hidden.clone());
    let last = &read[3 * 64..];
    let zeros = |row: &[f32]| -> Vec<bool> { row.iter().map(|&value| value == 0.0).collect() };
    assert_ne!(zeros(&written), zeros(last));
    assert!(difference(&written, last) > 0.01);
}
