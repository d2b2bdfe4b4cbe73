//! Encoder–decoders: decoding step by step, padding, beam search, masks.

use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Device, Tensor};
use seqzoo_kernels::{Lengths, devices};
use seqzoo_models::Architecture;
use seqzoo_models::dropout_key::DropoutKey;
use seqzoo_models::layers::{AttentionScore, RegularizationRates, Stack, StackShape};
use seqzoo_models::networks::{
    EncoderDecoder, EncoderDecoderShape, Generation, Hypothesis, Source, SourceShape, Targets,
};
use seqzoo_random::{Key, Purpose};

use crate::support::{bilstm, difference, gradients, numbers, paths, tensor, tokens, values, with_parameters};

#[test]
fn step_by_step_decoding_equals_decoding_the_whole_target() {
    for (_, device) in devices() {
        for attention in [AttentionScore::General, AttentionScore::Additive] {
            let shape = EncoderDecoderShape {
                source: SourceShape::Tokens(9),
                target_vocabulary: 7,
                encoder: StackShape::plain(Architecture::BiGru, 4, vec![3]),
                decoder: StackShape::plain(Architecture::Lstm, 5, vec![4, 6]),
                attention,
                copy: false,
                dropout: 0.0,
                embedding_dropout: 0.0,
            };
            let model = EncoderDecoder::new(shape, 1, &device);
            let source = [vec![1, 2, 3, 4], vec![5, 6]];
            let generate = |eos: usize| {
                let generation = Generation { bos: 0, eos, suppressed: &[], max_length: 5, length_penalty: 0.0 };
                model.greedy(model.encode(tokens(&source, 4, 0, &device), &[4, 2], None), &generation)
            };
            let generated = generate(7);
            let generated: Vec<Vec<usize>> = generated.into_iter().map(|found| found.tokens).collect();
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
            assert!(ended[0].tokens.is_empty(), "the end token is not returned");
        }
    }
}

#[test]
fn label_smoothing_divides_a_share_of_the_probability_among_all_tokens() {
    for (_, device) in devices() {
        let device = device.autodiff();
        let network = encoder_decoder(1, &device);
        let source = || tokens(&[vec![1, 2, 4], vec![3, 1]], 3, 0, &device);
        let (lengths, target) = ([3, 2], [vec![2, 3, 1], vec![3]]);
        let loss = |label_smoothing: f64| {
            let targets = Targets { label_smoothing, ..Targets::new(GENERATION.bos, &target) };
            network.loss(network.encode(source(), &lengths, None), &targets, None)
        };
        // By the definition, from the scores.
        let bos = GENERATION.bos as i32;
        let input = tokens(&[vec![bos, 2, 3], vec![bos]], 3, 0, &device);
        let (scores, _) = network.decode(network.encode(source(), &lengths, None), input, &[3, 1], None);
        let logs = log_softmax(scores, 2);
        let vocabulary = logs.dims()[2];
        let logs = values(logs);
        let of_step = |step: usize, token: usize| {
            let row = &logs[step * vocabulary..(step + 1) * vocabulary];
            let mean = row.iter().sum::<f32>() / vocabulary as f32;
            -(0.9 * row[token] + 0.1 * mean)
        };
        let expected = (of_step(0, 2) + of_step(1, 3) + of_step(2, 1) + of_step(3, 3)) / 4.0;
        let smoothed = loss(0.1);
        assert!((values(smoothed.clone())[0] - expected).abs() < 1e-4, "{expected}");
        assert_ne!(values(loss(0.0))[0], expected);
        // The gradient of a bias is the difference of predicted and smoothed probability.
        let found = gradients(&network, &smoothed.backward());
        let bias = &found["output.bias"];
        let uniform = 0.1 / vocabulary as f32;
        let probability = |step: usize, token: usize| logs[step * vocabulary + token].exp();
        let targets = [2, 3, 1, 3];
        assert_eq!(bias.len(), vocabulary);
        for (token, &bias) in bias.iter().enumerate() {
            let of_step = |(step, &target): (usize, &usize)| {
                probability(step, token) - uniform - if target == token { 0.9 } else { 0.0 }
            };
            let expected = targets.iter().enumerate().map(of_step).sum::<f32>() / 4.0;
            assert!((bias - expected).abs() < 1e-4, "{token}: {bias} {expected}");
        }
    }
}

#[test]
fn scheduled_sampling_feeds_predictions_in_training_only() {
    let (_, device) = devices().remove(0);
    let device = device.autodiff();
    let network = encoder_decoder(2, &device);
    let (lengths, target) = ([3, 2], [vec![3, 3, 3, 4], vec![2, 4]]);
    let encoded = || network.encode(tokens(&[vec![1, 2, 4], vec![3, 1]], 3, 0, &device), &lengths, None);
    let key = |step: u64| Some(Key::new(1, Purpose::Dropout).with_first(step));
    let loss = |sampling: f64, key: Option<Key>| {
        let targets = Targets { sampling, ..Targets::new(GENERATION.bos, &target) };
        values(network.loss(encoded(), &targets, key))[0]
    };
    let forced = loss(0.0, key(1));
    assert_eq!((loss(0.0, None), loss(0.9, None)), (forced, forced));
    assert_eq!(loss(0.5, key(1)), loss(0.5, key(1)));
    let drawn: Vec<f32> = (0..20).map(|step| loss(0.5, key(step))).collect();
    assert!(drawn.iter().any(|&loss| loss != drawn[0]), "{drawn:?}");
    // At probability 1, the input is what greedy decoding without an end generates.
    let endless = Generation { bos: GENERATION.bos, eos: 5, suppressed: &[], max_length: 3, length_penalty: 0.0 };
    let generated = network.greedy(encoded(), &endless);
    let bos = GENERATION.bos as i32;
    let input = |row: usize| -> Vec<i32> {
        [bos].into_iter().chain(generated[row].tokens.iter().map(|&token| token as i32)).collect()
    };
    let (scores, _) = network.decode(encoded(), tokens(&[input(0), input(1)], 4, 0, &device), &[4, 2], None);
    let logs = values(log_softmax(scores, 2));
    let log = |row: usize, step: usize, token: usize| logs[(4 * row + step) * 5 + token];
    let of_rows = [&target[0], &target[1]].into_iter().enumerate();
    let all: Vec<f32> = of_rows
        .flat_map(|(row, target)| target.iter().enumerate().map(move |(step, &token)| (row, step, token)))
        .map(|(row, step, token)| -log(row, step, token))
        .collect();
    let expected = all.iter().sum::<f32>() / 6.0;
    let found = loss(1.0, key(1));
    assert!((found - expected).abs() < 1e-4, "{found} {expected}");
}

#[test]
fn teacher_forcing_ignores_padding_on_both_sides() {
    for (_, device) in devices() {
        let device = device.autodiff();
        let shape = EncoderDecoderShape {
            source: SourceShape::Tokens(9),
            target_vocabulary: 7,
            encoder: bilstm(4),
            decoder: StackShape::plain(Architecture::Gru, 5, vec![4]),
            attention: AttentionScore::General,
            copy: false,
            dropout: 0.0,
            embedding_dropout: 0.0,
        };
        let model = EncoderDecoder::new(shape, 1, &device);
        let (source, target) = ([vec![1, 2, 3], vec![4]], [vec![1, 2, 3, 4], vec![5]]);
        let loss = |rows: &[Vec<i32>], lengths: &[usize], time: usize, target: &[Vec<usize>]| {
            let encoded = model.encode(tokens(rows, time, 8, &device), lengths, None);
            f64::from(values(model.loss(encoded, &Targets::new(0, target), None))[0])
        };
        let together = loss(&source, &[3, 1], 6, &target);
        let alone = (4.0 * loss(&source[..1], &[3], 3, &target[..1]) + loss(&source[1..], &[1], 1, &target[1..])) / 5.0;
        assert!((together - alone).abs() < 1e-5, "{together} against {alone}");
    }
}

#[test]
fn projected_features_are_read_like_embedded_tokens() {
    for (_, device) in devices() {
        let device = device.autodiff();
        let weights = numbers(9 * 4, 1);
        // A feature vector with a single one selects a row of the projection.
        let set = |name: &str, count: usize| -> Vec<f64> {
            match name {
                "source.weight" => weights.iter().map(|weight| f64::from(weight.tanh())).collect(),
                "projection.weight" => weights.iter().copied().map(f64::from).collect(),
                "projection.bias" => vec![0.0; count],
                _ => numbers(count, name.len() as u64).into_iter().map(f64::from).collect(),
            }
        };
        let model = |source: SourceShape| {
            let shape = EncoderDecoderShape {
                source,
                target_vocabulary: 7,
                encoder: bilstm(4),
                decoder: StackShape::plain(Architecture::Gru, 5, vec![4]),
                attention: AttentionScore::General,
                copy: false,
                dropout: 0.0,
                embedding_dropout: 0.0,
            };
            with_parameters(EncoderDecoder::new(shape, 1, &device), &set, DType::F32)
        };
        let (source, lengths, target) = ([vec![1, 2, 3], vec![4]], [3, 1], [vec![1, 2, 3, 4], vec![5]]);
        let mut features = vec![0.0; 2 * 3 * 9];
        for (step, token) in [(0, 1), (1, 2), (2, 3), (3, 4)] {
            features[step * 9 + token] = 1.0;
        }
        let of_tokens = model(SourceShape::Tokens(9));
        let of_features = model(SourceShape::Features(9));
        let targets = Targets { label_smoothing: 0.1, ..Targets::new(0, &target) };
        let loss = |model: &EncoderDecoder, source: Source| {
            values(model.loss(model.encode(source, &lengths, None), &targets, None))[0]
        };
        let same = loss(&of_features, tensor(features, [2, 3, 9], &device).into());
        let loss = loss(&of_tokens, tokens(&source, 3, 8, &device).into());
        assert!((loss - same).abs() < 1e-5, "{loss} against {same}");
    }
}

#[test]
fn a_grid_is_read_by_rows_and_then_by_columns() {
    for (_, device) in devices() {
        let set = |name: &str, count: usize| -> Vec<f64> {
            let name = ["encoder.", "columns."].iter().fold(name, |name, prefix| name.trim_start_matches(prefix));
            numbers(count, name.len() as u64).into_iter().map(f64::from).collect()
        };
        let model = |source: SourceShape| {
            let shape = EncoderDecoderShape {
                source,
                target_vocabulary: 7,
                encoder: bilstm(4),
                decoder: StackShape::plain(Architecture::Gru, 5, vec![4]),
                attention: AttentionScore::General,
                copy: false,
                dropout: 0.0,
                embedding_dropout: 0.0,
            };
            with_parameters(EncoderDecoder::new(shape, 1, &device), &set, DType::F32)
        };
        let of_rows = model(SourceShape::Features(2));
        let of_columns = StackShape { input_size: bilstm(4).output_size(), ..bilstm(4) };
        let of_columns =
            with_parameters(Stack::new(of_columns, Key::new(1, Purpose::Weights), &device), &set, DType::F32);
        // Two grids of two rows and three columns.
        let grids = || tensor(numbers(2 * 2 * 3 * 2, 5), [2, 6, 2], &device);
        let lengths = |count: usize, time: usize| Lengths::full(count, time);
        let rows = of_rows.encode(grids().reshape([4, 3, 2]), lengths(4, 3), None).outputs().clone();
        let size = rows.dims()[2];
        let columns: Tensor<3> = rows.reshape([2, 2, 3, size]).swap_dims(1, 2).reshape([6, 2, size]);
        let expected = of_columns.forward(columns, lengths(6, 2), None, None).outputs;
        let expected: Tensor<3> = expected.reshape([2, 3, 2, size]).swap_dims(1, 2).reshape([2, 6, size]);
        let grid: Tensor<4> = grids().reshape([2, 2, 3, 2]);
        let encoded = model(SourceShape::Grid(2)).encode(grid, &[6, 6], None);
        assert!(difference(&values(encoded.outputs().clone()), &values(expected)) < 1e-6);
    }
}

#[test]
fn dropout_of_a_grid_depends_on_the_example_only() {
    let (_, device) = devices().remove(0);
    let rates = RegularizationRates { locked_dropout: 0.3, dropout: 0.3, input_dropout: 0.3, ..Default::default() };
    let stack = StackShape { hidden_sizes: vec![3, 3], rates, ..StackShape::plain(Architecture::BiGru, 4, vec![3]) };
    let shape = EncoderDecoderShape {
        source: SourceShape::Grid(2),
        target_vocabulary: 7,
        encoder: stack,
        decoder: StackShape::plain(Architecture::Gru, 5, vec![4]),
        attention: AttentionScore::General,
        copy: false,
        dropout: 0.0,
        embedding_dropout: 0.0,
    };
    let model = EncoderDecoder::new(shape, 1, &device);
    let key = Key::new(1, Purpose::Dropout);
    let encoded = |examples: &[u64]| {
        let grid: Tensor<4> = tensor(numbers(6 * 2, 5), [1, 12], &device).repeat(&[2, 1]).reshape([2, 2, 3, 2]);
        let outputs = model.encode(grid, &[6, 6], DropoutKey::new(key, key, examples)).outputs().clone();
        [0, 1].map(|row| values(outputs.clone().narrow(0, row, 1)))
    };
    let ([first, second], [same_second, same_first]) = (encoded(&[3, 8]), encoded(&[8, 3]));
    assert!(difference(&first, &same_first) < 1e-6 && difference(&second, &same_second) < 1e-6);
    assert!(difference(&first, &second) > 1e-3, "other examples have other masks");
}

/// An encoder–decoder with four tokens and an end token, and large weights, so that probabilities differ.
fn encoder_decoder(seed: u64, device: &Device) -> EncoderDecoder {
    with_copies(seed, false, device)
}

/// As [`encoder_decoder`], optionally one that copies.
fn with_copies(seed: u64, copy: bool, device: &Device) -> EncoderDecoder {
    let shape = EncoderDecoderShape {
        source: SourceShape::Tokens(5),
        target_vocabulary: 5,
        encoder: bilstm(4),
        decoder: StackShape::plain(Architecture::Lstm, 4, vec![6]),
        attention: AttentionScore::General,
        copy,
        dropout: 0.0,
        embedding_dropout: 0.0,
    };
    let weights = |name: &str, count| {
        numbers(count, seed + name.len() as u64).into_iter().map(|value| 3.0 * f64::from(value)).collect()
    };
    with_parameters(EncoderDecoder::new(shape, seed, device), &weights, DType::F32)
}

/// Tokens 2 and 3 can be generated, 4 is the end token, 0 and 1 are padding and unknown.
const GENERATION: Generation = Generation { bos: 0, eos: 4, suppressed: &[0, 1], max_length: 3, length_penalty: 0.0 };

#[test]
fn beam_width_one_is_greedy_and_a_wide_beam_ranks_all_targets_by_probability() {
    let (_, device) = devices().remove(0); // the search does not depend on the device
    for seed in 0..4 {
        let network = encoder_decoder(seed, &device);
        let source = tokens(&[vec![1, 2, 4]], 3, 0, &device);
        let encoded = || network.encode(source.clone(), &[3], None);
        let beam = |width| network.beam_search(encoded(), &GENERATION, width).remove(0);
        assert_eq!(beam(1), network.greedy(encoded(), &GENERATION));
        // All targets of up to three tokens, each with its log-probability from the loss.
        let Generation { bos, eos, max_length, .. } = GENERATION;
        let log_probability = |target: &[usize], ended: bool| -> f64 {
            let target: Vec<usize> = target.iter().copied().chain(ended.then_some(eos)).collect();
            let count = target.len() as f64;
            -f64::from(values(network.loss(encoded(), &Targets::new(bos, &[target]), None))[0]) * count
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
        let encoded = || network.encode(source.clone(), &[3], None);
        let greedy = network.greedy(encoded(), &generation).remove(0);
        for width in 2..6 {
            let found = network.beam_search(encoded(), &generation, width).remove(0);
            assert!(found[0].log_probability >= greedy.log_probability - 1e-6, "seed {seed}, width {width}");
            assert!(found.iter().flat_map(|found| &found.tokens).all(|token| [2, 3].contains(token)), "{found:?}");
            let distinct: std::collections::HashSet<_> = found.iter().map(|found| &found.tokens).collect();
            assert_eq!((distinct.len(), found.len()), (width, width));
        }
        suppressed += usize::from(network.greedy(encoded(), &all)[0].tokens.iter().any(|token| *token < 2));
    }
    assert!(suppressed > 0, "without suppression some of these networks generate padding");
}

#[test]
fn beams_of_several_sources_equal_those_of_each_source_alone() {
    for (_, device) in devices() {
        for (seed, length_penalty) in [(1, 0.0), (2, 0.6), (3, 1.0)] {
            let network = encoder_decoder(seed, &device);
            let generation = Generation { max_length: 6, length_penalty, ..GENERATION };
            let sources = [vec![4, 2, 1], vec![3], vec![1, 2, 3, 4, 4], vec![2, 2]];
            let lengths: Vec<usize> = sources.iter().map(Vec::len).collect();
            let together = network.encode(tokens(&sources, 5, 0, &device), &lengths, None);
            let together = network.beam_search(together, &generation, 3);
            for ((source, length), found) in sources.iter().zip(lengths).zip(&together) {
                let encoded =
                    || network.encode(tokens(std::slice::from_ref(source), length, 0, &device), &[length], None);
                let alone = network.beam_search(encoded(), &generation, 3).remove(0);
                let texts = |found: &[Hypothesis]| found.iter().map(|one| one.tokens.clone()).collect::<Vec<_>>();
                assert_eq!(texts(found), texts(&alone));
                for (one, other) in found.iter().zip(&alone) {
                    assert!((one.log_probability - other.log_probability).abs() < 1e-4, "{one:?} {other:?}");
                }
                let scores: Vec<f64> = found.iter().map(|one| generation.score(one)).collect();
                let greedy = generation.score(&network.greedy(encoded(), &generation)[0]);
                assert!(scores.is_sorted_by(|one, other| one >= other) && scores[0] >= greedy - 1e-4, "{scores:?}");
            }
        }
    }
}

#[test]
fn tokens_outside_the_vocabulary_are_copied_and_only_those_of_the_source() {
    for (_, device) in devices() {
        let device = device.autodiff();
        let mut copied = 0;
        for seed in 0..6 {
            let network = with_copies(seed, true, &device);
            // The tokens 5 and 6 are not among the five of the target vocabulary.
            let rows: [&[usize]; 2] = [&[2, 5, 3], &[6]];
            let source = || tokens(&[vec![1, 2, 4], vec![3]], 3, 0, &device);
            let encoded = || network.encode(source(), &[3, 1], None).copying(&rows, 1);
            let target = [vec![5, 2, 4], vec![6, 4]];
            let loss = values(network.loss(encoded(), &Targets::new(GENERATION.bos, &target), None))[0];
            let input = tokens(&[vec![0, 5, 2], vec![0, 1]], 3, 0, &device);
            let scores = values(network.decode(encoded(), input, &[3, 2], None).0);
            let log = |row: usize, step: usize, token: usize| scores[(3 * row + step) * 7 + token];
            let sum = log(0, 0, 5) + log(0, 1, 2) + log(0, 2, 4) + log(1, 0, 6) + log(1, 1, 4);
            assert!((loss + sum / 5.0).abs() < 1e-4, "{loss} {sum}");
            let total: f32 = scores[..7].iter().map(|log| log.exp()).sum();
            assert!((total - 1.0).abs() < 1e-5 && log(0, 0, 6) == f32::NEG_INFINITY, "{scores:?}");
            let greedy = network.greedy(encoded(), &GENERATION);
            for (found, absent) in greedy.iter().zip([6, 5]) {
                assert!(!found.tokens.contains(&absent), "{found:?}");
                copied += found.tokens.iter().filter(|&&token| token > 4).count();
            }
            let beams = network.beam_search(encoded(), &GENERATION, 40);
            let absent =
                |(found, absent): (&Vec<Hypothesis>, usize)| found.iter().any(|one| one.tokens.contains(&absent));
            assert!(!beams.iter().zip([6, 5]).any(absent), "{beams:?}");
        }
        assert!(copied > 0, "some of these networks copy");
    }
}

#[test]
fn attention_weights_sum_to_one_over_the_source() {
    let (_, device) = devices().remove(0);
    let network = encoder_decoder(1, &device);
    let encoded = network.encode(tokens(&[vec![1, 2, 4], vec![3]], 3, 0, &device), &[3, 1], None);
    let weights = network.attention_weights(encoded, tokens(&[vec![0, 2], vec![0, 3]], 2, 0, &device), &[2, 2]);
    assert_eq!(weights.dims(), [2, 2, 3]);
    let weights = values(weights);
    assert!(weights.chunks(3).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-6), "{weights:?}");
    assert_eq!(weights[6..], [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn encoder_and_decoder_draw_different_masks() {
    let (_, device) = devices().remove(0);
    let half = || {
        let rates = RegularizationRates { zoneout: 0.5, ..RegularizationRates::default() };
        StackShape { rates, ..StackShape::plain(Architecture::Rnn, 4, vec![64]) }
    };
    let shape = EncoderDecoderShape {
        source: SourceShape::Tokens(9),
        target_vocabulary: 9,
        encoder: half(),
        decoder: half(),
        attention: AttentionScore::Dot,
        copy: false,
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
