//! Truncated backpropagation through time against a direct computation of the gradients.

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use seqzoo_datasets::corpus::Corpus;
use seqzoo_models::networks::LanguageModel;
use seqzoo_models::parameters::{Array, DynNetwork, Flat};
use seqzoo_run::devices;
use seqzoo_run::recipe::Recipe;
use seqzoo_run::settings::{Override, Settings};
use seqzoo_tasks::language_model::{Codec, LanguageModelTraining, Window, windows};
use seqzoo_tasks::{StepKeys, TrainingTask};

use crate::Trial;

const ROWS: usize = 2;
/// Number of predictions per row of the text.
const STEPS: usize = 12;

fn corpus() -> Corpus {
    let text = "abcabdbca dcab ddabcbacda".chars().cycle().take(ROWS * (STEPS + 1)).collect::<String>();
    Corpus { validation: text.clone(), train: text, ..Corpus::default() }
}

fn values(k1: usize, k2: usize) -> Vec<(String, String)> {
    let values = [
        ("training.batch_size", "2"),
        ("training.epochs", "3"),
        ("task.embedding_size", "3"),
        ("network.hidden_sizes", "[4, 3]"),
        ("dropout.output", "0"),
        ("task.k1", &k1.to_string()),
        ("task.k2", &k2.to_string()),
    ];
    values.map(|(field, value)| (field.to_owned(), value.to_owned())).to_vec()
}

fn settings(k1: usize, k2: usize) -> Settings {
    let set = |(field, value)| Override { origin: "--set".to_owned(), field, value };
    Settings::resolve("sentences", &values(k1, k2).into_iter().map(set).collect::<Vec<_>>()).unwrap()
}

fn task(recipe: &Recipe, model: &str) -> LanguageModelTraining {
    LanguageModelTraining::new(&recipe.spec(model).unwrap(), &corpus()).unwrap()
}

/// Loss of a window in two forward passes: everything before it without gradients, then the window.
fn direct_loss(network: &LanguageModel, rows: &[Vec<u32>], window: Window, device: &Device) -> Tensor<1> {
    let Window { gradient_from, loss_from, end, .. } = window;
    let tokens = |from: usize, to: usize, device: &Device| -> Tensor<2, Int> {
        let tokens: Vec<i32> = rows.iter().flat_map(|row| row[from..to].iter().map(|&token| token as i32)).collect();
        Tensor::from_data(TensorData::new(tokens, [ROWS, to - from]), device)
    };
    let states = (gradient_from > 0).then(|| {
        let inner = device.clone().inner();
        let read = network.valid().forward(tokens(0, gradient_from, &inner), &[gradient_from; ROWS], None, None);
        let mut states = read.states;
        for state in &mut states {
            state.forward.hidden = Tensor::from_inner(state.forward.hidden.clone());
            state.forward.cell = state.forward.cell.clone().map(Tensor::from_inner);
        }
        states
    });
    let read = network.forward(tokens(gradient_from, end, device), &[end - gradient_from; ROWS], states, None);
    let scores = network.scores(read.features);
    let [_, _, vocabulary] = scores.dims();
    let counted = ROWS * (end - loss_from);
    let scores = scores.narrow(1, loss_from - gradient_from, end - loss_from).reshape([counted, vocabulary]);
    let next = tokens(loss_from + 1, end + 1, device).reshape([counted, 1]);
    log_softmax(scores, 1).gather(1, next).mean().neg()
}

fn relative_difference(a: &Flat, b: &Flat) -> f32 {
    assert!(a.keys().eq(b.keys()));
    let difference = |(a, b): (&Tensor<1>, &Tensor<1>)| {
        let (a, b) = (Array::of(a.clone()).values, Array::of(b.clone()).values);
        let largest = b.iter().fold(1e-6f32, |most, value| most.max(value.abs()));
        a.iter().zip(&b).fold(0.0f32, |most, (a, b)| most.max((a - b).abs())) / largest
    };
    a.values().zip(b.values()).map(difference).fold(0.0, f32::max)
}

#[test]
fn gradients_match_a_direct_computation() {
    for (_, device) in devices() {
        let device = device.autodiff();
        for model in ["rnn", "lstm", "gru"] {
            for (k1, k2) in [(12, 12), (1, 12), (4, 1), (2, 5), (3, 3), (5, 2), (5, 7)] {
                let recipe = settings(k1, k2).recipe;
                let task = task(&recipe, model);
                let codec: Codec = serde_json::from_slice(&task.files()["codec.json"]).unwrap();
                let tokens = codec.encode(&corpus().train);
                let rows: Vec<Vec<u32>> = tokens.chunks(STEPS + 1).map(<[u32]>::to_vec).collect();
                let network = task.network(&device);
                let windows = windows(STEPS, k1, k2);
                assert_eq!(task.batches(0).len(), windows.len());
                let mut recurrent_state = None;
                for (index, window) in windows.into_iter().enumerate() {
                    let keys = StepKeys::new(1, 0, 0);
                    let read = task.loss(&network, &[index], recurrent_state.as_ref(), keys, &device);
                    recurrent_state = read.recurrent_state;
                    let found = DynNetwork::gradients(&network, &read.loss.backward());
                    let expected =
                        DynNetwork::gradients(&network, &direct_loss(&network, &rows, window, &device).backward());
                    let error = relative_difference(&found, &expected);
                    assert!(error < 1e-4, "{model}, TBPTT({k1}, {k2}), window {index}: {error}");
                }
            }
        }
    }
}

#[test]
fn windows_of_the_whole_text_are_full_backpropagation_bit_for_bit() {
    let mut outcomes = Vec::new();
    for (k1, k2) in [(0, 0), (STEPS, STEPS), (STEPS, 0), (99, 99)] {
        let mut trial = Trial::new(&[]);
        trial.settings = settings(k1, k2);
        trial.to_the_end(&task(&trial.settings.recipe, "lstm"));
        let mut files = trial.outcome();
        files.remove("about.json"); // contains k1 and k2
        outcomes.push(files);
    }
    assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn windows_of_unequal_length_train_and_resume_exactly() {
    for (k1, k2) in [(1, 4), (2, 5), (5, 2), (3, 0)] {
        let [mut whole, mut parts] = [0, 1].map(|_| Trial::new(&[]));
        (whole.settings, parts.settings) = (settings(k1, k2), settings(k1, k2));
        let task = task(&whole.settings.recipe, "gru");
        whole.to_the_end(&task);
        (1..=6).for_each(|step| parts.until(&task, step));
        parts.to_the_end(&task);
        assert!(whole.outcome() == parts.outcome(), "TBPTT({k1}, {k2})");
    }
}
