//! How far back a loss reaches: the gradient's norm at each step's hidden state.

use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_kernels::Lengths;
use seqzoo_random::{Key, Purpose, RngExt};

use crate::layers::{Stack, StackShape};

/// Norms of a loss's gradient at the hidden states of a stack's lowest layer, by distance from each row's last true step.
///
/// ```text
/// reach_d = mean over rows of ‖∂L/∂h_{length − d}‖        d = 0 is the last true step
/// ```
///
/// Measured by adding to each hidden state a zero that requires a gradient. `input` is `[batch, time, features]` on an autodiff
/// device; `loss` makes one number of the stack's outputs. Of a bidirectional layer the forward reader is measured. Distances
/// that no row has are left out. Bengio, Simard and Frasconi, "Learning long-term dependencies with gradient descent is difficult", 1994.
pub fn reach(
    stack: &Stack,
    input: Tensor<3>,
    lengths: impl Into<Lengths>,
    loss: impl FnOnce(Tensor<3>) -> Tensor<1>,
) -> Vec<f64> {
    let lengths = lengths.into();
    let [batch, time, _] = input.dims();
    let width = stack.shape().hidden_sizes[0];
    let added = Tensor::<3>::zeros([batch, time, width], &input.device()).require_grad();
    let outputs = stack.read_disturbed(input, &lengths, None, None, Some(added.clone())).outputs;
    let gradients = loss(outputs).backward();
    let gradient = added.grad(&gradients).expect("the loss depends on what was added");
    let values = gradient.try_into_vec_as::<f32>().expect("a computed tensor can be read");
    let norm = |row: usize, step: usize| {
        let units = &values[(row * time + step) * width..][..width];
        units.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
    };
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let at = |distance: usize| {
        let norms: Vec<f64> = (0..batch)
            .filter(|&row| lengths[row] > distance)
            .map(|row| norm(row, lengths[row] - 1 - distance))
            .collect();
        norms.iter().sum::<f64>() / norms.len().max(1) as f64
    };
    (0..longest).map(at).collect()
}

/// The reach of fresh weights over `lag` steps of noise: 16 rows of uniform numbers in ±1, and a random direction of the last
/// output as loss.
pub fn fresh_reach(shape: StackShape, lag: usize, seed: u64, device: &Device) -> Vec<f64> {
    let device = device.clone().autodiff();
    let (batch, time, features) = (16, lag + 1, shape.input_size);
    let numbers = |count: usize, place: u64| -> Vec<f32> {
        let mut stream = Key::new(seed, Purpose::Data).place(place).stream();
        (0..count).map(|_| stream.random_range(-1.0..1.0)).collect()
    };
    let input = TensorData::new(numbers(batch * time * features, 0), [batch, time, features]);
    let width = shape.output_size();
    let direction = TensorData::new(numbers(width, 1), [1, 1, width]);
    let stack = Stack::new(shape, Key::new(seed, Purpose::Weights), &device);
    reach(&stack, Tensor::from_data(input, &device), Lengths::full(batch, time), |outputs| {
        (outputs.narrow(1, time - 1, 1) * Tensor::from_data(direction, &device)).sum()
    })
}
