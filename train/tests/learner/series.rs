//! Stateful task: the next value of two sines, with the recurrent state passed from window to window; six windows per epoch.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_datasets::scores::{Metric, Scores};
use seqzoo_models::Architecture;
use seqzoo_models::layers::dropout::dropout;
use seqzoo_models::layers::{LayerState, Stack, StackShape, linear};
use seqzoo_models::networks::Network;
use seqzoo_models::state::NamedState;
use seqzoo_random::{Key, Purpose};
use seqzoo_run::checkpoint::Files;
use seqzoo_run::faults;
use seqzoo_tasks::{BatchLoss, RecurrentState, StepKeys, TrainingTask};

const ROWS: usize = 2;
const WINDOW: usize = 4;
pub(crate) const WINDOWS: usize = 6;
const HIDDEN: usize = 3;

#[derive(Module, Debug)]
pub(crate) struct Reader {
    stack: Stack,
    output: Linear,
}

impl Network for Reader {}

pub(crate) struct Series(pub(crate) Architecture);

impl Series {
    /// Values of both sines from step `from` on, `[rows · steps]`.
    fn values(from: usize, steps: usize) -> Vec<f32> {
        let value = |row: usize, step: usize| (0.5 * (from + step) as f32 + row as f32).sin();
        (0..ROWS).flat_map(|row| (0..steps).map(move |step| value(row, step))).collect()
    }

    fn tensor(values: Vec<f32>, device: &Device) -> Tensor<3> {
        Tensor::from_data(TensorData::new(values, [ROWS, WINDOW, 1]), device)
    }

    /// Input of a window, with the injected fault if any.
    fn input(batch: &[usize]) -> Vec<f32> {
        let mut input = Self::values(batch[0] * WINDOW, WINDOW);
        if let Some(value) = faults::value("data") {
            input[3] *= value;
        }
        input
    }
}

fn unfold(recurrent_state: &RecurrentState) -> Vec<LayerState> {
    let tensor = |name: &str| recurrent_state.get(name).cloned().map(Tensor::from_inner);
    let forward = NamedState { hidden: tensor("hidden").unwrap(), cell: tensor("cell") };
    vec![LayerState { forward, backward: None }]
}

fn fold(states: Vec<LayerState>) -> RecurrentState {
    let NamedState { hidden, cell } = states.into_iter().next().unwrap().forward;
    let cell = cell.map(|cell| ("cell".to_owned(), cell.inner()));
    [("hidden".to_owned(), hidden.inner())].into_iter().chain(cell).collect()
}

impl TrainingTask for Series {
    type Network = Reader;

    fn network(&self, device: &Device) -> Reader {
        let key = Key::new(1, Purpose::Weights);
        Reader {
            stack: Stack::new(StackShape::plain(self.0, 1, vec![HIDDEN]), key.with_first(1), device),
            output: linear(HIDDEN, 1, 0.0, key.with_first(2), device),
        }
    }

    fn batches(&self, _: u64) -> Vec<Vec<usize>> {
        (0..WINDOWS).map(|window| vec![window]).collect()
    }

    fn is_stateful(&self) -> bool {
        true
    }

    fn invalid_value(&self, batch: &[usize]) -> Option<(String, f32)> {
        let bad = Self::input(batch).into_iter().find(|value| !value.is_finite())?;
        Some(("series".to_owned(), bad))
    }

    fn loss(
        &self,
        network: &Reader,
        batch: &[usize],
        recurrent_state: Option<&RecurrentState>,
        keys: StepKeys,
        device: &Device,
    ) -> BatchLoss {
        let input = Self::tensor(Self::input(batch), device);
        let read = network.stack.forward(input, &[WINDOW; ROWS], recurrent_state.map(unfold), Some(keys.batch));
        let outputs = dropout(read.outputs, 0.2, Some(keys.batch));
        let predicted = network.output.forward(outputs.reshape([ROWS * WINDOW, HIDDEN]));
        let actual = Self::tensor(Self::values(batch[0] * WINDOW + 1, WINDOW), device).reshape([ROWS * WINDOW, 1]);
        let loss = (predicted - actual).square().mean();
        BatchLoss { loss, weight: 8.0, tokens: ROWS * WINDOW, recurrent_state: Some(fold(read.states)) }
    }

    fn validate(&self, network: &Reader, device: &Device, _: &dyn Fn() -> bool) -> Option<Scores> {
        let read = network.stack.forward(Self::tensor(Self::values(100, WINDOW), device), &[WINDOW; ROWS], None, None);
        let predicted = network.output.forward(read.outputs.reshape([ROWS * WINDOW, HIDDEN]));
        let actual = Self::tensor(Self::values(101, WINDOW), device).reshape([ROWS * WINDOW, 1]);
        let loss = f64::from((predicted - actual).square().mean().into_scalar::<f32>());
        Some(Scores::new(ROWS * WINDOW, [(Metric::ACCURACY, 1.0 / (1.0 + loss)), (Metric::LOSS, loss)]))
    }

    fn files(&self) -> Files {
        Files::new()
    }
}
