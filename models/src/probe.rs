//! Gradient flow through time: the norm of a loss's gradient at each hidden state.

use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_kernels::Lengths;
use seqzoo_random::{Key, Purpose, RngExt};

use crate::layers::{Stack, StackShape};

/// Gradient norms of a loss at the hidden states of a stack's first layer, by distance from each row's last valid time
/// step.
///
/// ```text
/// norm_d = mean over rows of ‖∂L/∂h_{length − d}‖        d = 0 is the last valid time step
/// ```
///
/// `input` is `[batch, time, features]` on an autodiff device; `loss` maps the stack's outputs to a scalar. The
/// gradient is that of a zero tensor added to the hidden states. In a bidirectional layer, the forward direction is
/// measured. The result has one value per distance, up to the longest row.
///
/// Bengio, Simard and Frasconi, "Learning long-term dependencies with gradient descent is difficult", 1994.
pub fn gradient_norms(
    stack: &Stack,
    input: Tensor<3>,
    lengths: impl Into<Lengths>,
    loss: impl FnOnce(Tensor<3>) -> Tensor<1>,
) -> Vec<f64> {
    let lengths = lengths.into();
    let [batch, time, _] = input.dims();
    let width = stack.shape().hidden_sizes[0];
    let hidden_offset = Tensor::<3>::zeros([batch, time, width], &input.device()).require_grad();
    let outputs = stack.forward_with_hidden_offset(input, &lengths, None, None, Some(hidden_offset.clone())).outputs;
    let gradients = loss(outputs).backward();
    let gradient = hidden_offset.grad(&gradients).expect("the loss depends on the hidden states");
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

/// Gradient norms ([`gradient_norms`]) of a randomly initialized stack over `lag` + 1 time steps: 16 rows of uniform
/// noise in ±1, with the projection of the last output onto a random vector as loss.
///
/// ```
/// use burn::tensor::Device;
/// use seqzoo_models::{Architecture, layers::StackShape, probe::initial_gradient_norms};
///
/// let shape = StackShape::plain(Architecture::Lstm, 4, vec![8]);
/// assert_eq!(initial_gradient_norms(shape, 10, 1, &Device::flex()).len(), 11);
/// ```
pub fn initial_gradient_norms(shape: StackShape, lag: usize, seed: u64, device: &Device) -> Vec<f64> {
    let device = device.clone().autodiff();
    let (batch, time, features) = (16, lag + 1, shape.input_size);
    let noise = |count: usize, index: u64| -> Vec<f32> {
        let mut stream = Key::new(seed, Purpose::Data).offset(index).stream();
        (0..count).map(|_| stream.random_range(-1.0..1.0)).collect()
    };
    let input = TensorData::new(noise(batch * time * features, 0), [batch, time, features]);
    let width = shape.output_size();
    let direction = TensorData::new(noise(width, 1), [1, 1, width]);
    let stack = Stack::new(shape, Key::new(seed, Purpose::Weights), &device);
    gradient_norms(&stack, Tensor::from_data(input, &device), Lengths::full(batch, time), |outputs| {
        (outputs.narrow(1, time - 1, 1) * Tensor::from_data(direction, &device)).sum()
    })
}
