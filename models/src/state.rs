//! The recurrent state of cells.

use burn::tensor::Tensor;

/// The recurrent state of a cell: named tensors, each `[batch, hidden_size]`.
pub trait State: Clone {
    /// Number of tensors.
    const TENSORS: usize;

    /// An all-zero state with the device and dtype of `like`.
    fn zeros(batch: usize, hidden_size: usize, like: &Tensor<2>) -> Self;

    /// The hidden state, which is the output of a time step.
    fn hidden(&self) -> Tensor<2>;

    /// Combines each tensor of this state with the corresponding one of `old`.
    fn zip_with(self, old: Self, combine: impl FnMut(Tensor<2>, Tensor<2>) -> Tensor<2>) -> Self;

    /// Converts to the representation that is independent of the cell.
    fn named(self) -> NamedState;

    /// Converts from the representation that is independent of the cell.
    ///
    /// # Panics
    /// If a tensor of this cell's state is missing.
    fn from_named(state: NamedState) -> Self;
}

/// The recurrent state of any cell.
#[derive(Debug, Clone)]
pub struct NamedState {
    /// Hidden state, `[batch, hidden_size]`.
    pub hidden: Tensor<2>,
    /// Cell state, `[batch, hidden_size]`, of LSTMs.
    pub cell: Option<Tensor<2>>,
}

/// The recurrent state of vanilla RNNs and GRUs.
#[derive(Debug, Clone)]
pub struct HiddenState {
    /// Hidden state, `[batch, hidden_size]`.
    pub hidden: Tensor<2>,
}

/// The recurrent state of LSTMs.
#[derive(Debug, Clone)]
pub struct LstmState {
    /// Hidden state, `[batch, hidden_size]`.
    pub hidden: Tensor<2>,
    /// Cell state, `[batch, hidden_size]`.
    pub cell: Tensor<2>,
}

fn zeros(batch: usize, hidden_size: usize, like: &Tensor<2>) -> Tensor<2> {
    Tensor::zeros([batch, hidden_size], (&like.device(), like.dtype()))
}

impl State for HiddenState {
    const TENSORS: usize = 1;

    fn zeros(batch: usize, hidden_size: usize, like: &Tensor<2>) -> Self {
        Self { hidden: zeros(batch, hidden_size, like) }
    }

    fn hidden(&self) -> Tensor<2> {
        self.hidden.clone()
    }

    fn zip_with(self, old: Self, mut combine: impl FnMut(Tensor<2>, Tensor<2>) -> Tensor<2>) -> Self {
        Self { hidden: combine(self.hidden, old.hidden) }
    }

    fn named(self) -> NamedState {
        NamedState { hidden: self.hidden, cell: None }
    }

    fn from_named(state: NamedState) -> Self {
        Self { hidden: state.hidden }
    }
}

impl State for LstmState {
    const TENSORS: usize = 2;

    fn zeros(batch: usize, hidden_size: usize, like: &Tensor<2>) -> Self {
        let zeros = zeros(batch, hidden_size, like);
        Self { hidden: zeros.clone(), cell: zeros }
    }

    fn hidden(&self) -> Tensor<2> {
        self.hidden.clone()
    }

    fn zip_with(self, old: Self, mut combine: impl FnMut(Tensor<2>, Tensor<2>) -> Tensor<2>) -> Self {
        Self { hidden: combine(self.hidden, old.hidden), cell: combine(self.cell, old.cell) }
    }

    fn named(self) -> NamedState {
        NamedState { hidden: self.hidden, cell: Some(self.cell) }
    }

    fn from_named(state: NamedState) -> Self {
        Self { hidden: state.hidden, cell: state.cell.expect("an LSTM state has a cell state") }
    }
}
