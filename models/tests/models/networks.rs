//! Taggers, language models, forecasters and relation classifiers: losses against their formulas, padding, streaming.

use burn::tensor::{DType, Tensor};
use seqzoo_kernels::devices;
use seqzoo_models::Architecture;
use seqzoo_models::layers::{CharacterEncoderShape, Pooling, Skip, StackShape, WordCharacters};
use seqzoo_models::networks::{
    BackboneShape, ForecastHead, Forecaster, ForecasterShape, LanguageModel, LanguageModelShape, RelationClassifier,
    RelationShape, Tagger, TaggerInput, TaggerShape, TaggerTargets,
};

use crate::support::{
    bilstm, difference, gradients, numbers, parameters, tagger, tensor, tokens, values, with_parameters,
};

#[test]
fn padding_changes_no_loss_and_no_gradient_of_a_tagger() {
    for (_, device) in devices() {
        let device = device.autodiff();
        for (crf, sentence) in [(false, None), (true, None), (true, Some((2, Pooling::Mean)))] {
            let character_encoder = CharacterEncoderShape { characters: 5, stack: bilstm(2) };
            let character_encoder = Some(character_encoder);
            let shape = TaggerShape { character_encoder, stack: bilstm(10), crf, sentence, ..tagger() };
            let tagger = Tagger::new(shape, 1, &device);
            let rows = [vec![2, 3, 4, 5], vec![6, 7]];
            let labels = [vec![0, 2, 1, 1], vec![2, 0]];
            let of_sentences = if sentence.is_some() { &[1, 0][..] } else { &[] };
            let targets = TaggerTargets { tokens: &labels, sentences: of_sentences };
            let words = [vec![1, 2, 3], vec![4], vec![1, 1]];
            let input = |time: usize, padding: i32| TaggerInput {
                tokens: tokens(&rows, time, padding, &device),
                lengths: vec![4, 2],
                characters: Some(WordCharacters {
                    characters: tokens(&words, time, padding % 5, &device),
                    lengths: vec![3, 1, 2],
                    word_indices: tokens(&[vec![0, 1, 2, 0], vec![1, 1]], time, padding % 3, &device),
                }),
            };
            let at = |time: usize, padding: i32| {
                let loss = tagger.loss(&input(time, padding), targets, None);
                (values(loss.clone()), gradients(&tagger, &loss.backward()))
            };
            let (exact, gradients) = at(4, 0);
            let (padded, padded_gradients) = at(7, 8);
            assert!(difference(&padded, &exact) < 1e-5);
            for (name, gradient) in &gradients {
                assert!(difference(&padded_gradients[name], gradient) < 1e-4, "{name}");
            }
            let decoded = tagger.decode(&input(7, 8), Some(targets));
            let unpadded = tagger.decode(&input(4, 0), None);
            assert_eq!(decoded.labels, unpadded.labels);
            assert!((decoded.loss.unwrap() - f64::from(exact[0])).abs() < 1e-5);
            assert_eq!(decoded.labels.iter().map(Vec::len).collect::<Vec<_>>(), [4, 2]);
            assert_eq!(decoded.sentences.len(), of_sentences.len());
            for (padded, exact) in decoded.sentences.iter().zip(&unpadded.sentences) {
                assert!(difference(padded, exact) < 1e-5);
                assert!((exact.iter().map(|log| log.exp()).sum::<f32>() - 1.0).abs() < 1e-5);
            }
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
fn relations_depend_on_the_spans_but_not_on_padding() {
    for (_, device) in devices() {
        let shape = RelationShape { vocabulary: 9, stack: bilstm(4), labels: 3, dropout: 0.0, embedding_dropout: 0.0 };
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
