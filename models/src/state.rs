//! What cells carry from step to step.

use burn::tensor::Tensor;

/// The state of a cell: tensors `[batch, hidden_size]` under the names that its equations use.
pub trait State: Clone {
    /// How many tensors it has.
    const TENSORS: usize;

    /// The state before the first step: all zeros, with the device and type of `like`.
    fn zeros(batch: usize, hidden_size: usize, like: &Tensor<2>) -> Self;

    /// The part that layers above and outputs read.
    fn hidden(&self) -> Tensor<2>;

    /// Each tensor of this state combined with the same one of `old`.
    fn zip(self, old: Self, combine: impl FnMut(Tensor<2>, Tensor<2>) -> Tensor<2>) -> Self;

    /// The state under names that do not depend on the cell.
    fn named(self) -> NamedState;

    /// The state of such names.
    ///
    /// # Panics
    /// If a tensor that this cell needs is not there.
    fn from_named(state: NamedState) -> Self;
}

/// A state whatever the cell.
#[derive(Debug, Clone)]
pub struct NamedState {
    /// `[batch, hidden_size]`.
    pub hidden: Tensor<2>,
    /// `[batch, hidden_size]`, of cells that keep one apart from the hidden state.
    pub cell: Option<Tensor<2>>,
}

/// A hidden state alone: vanilla RNN, GRU.
#[derive(Debug, Clone)]
pub struct HiddenState {
    /// Memory and output at once, `[batch, hidden_size]`.
    pub hidden: Tensor<2>,
}

/// A hidden state and a cell: LSTM and its kin.
#[derive(Debug, Clone)]
pub struct LstmState {
    /// What the cell shows, `[batch, hidden_size]`.
    pub hidden: Tensor<2>,
    /// What the cell keeps, `[batch, hidden_size]`.
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

    fn zip(self, old: Self, mut combine: impl FnMut(Tensor<2>, Tensor<2>) -> Tensor<2>) -> Self {
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

    fn zip(self, old: Self, mut combine: impl FnMut(Tensor<2>, Tensor<2>) -> Tensor<2>) -> Self {
        Self { hidden: combine(self.hidden, old.hidden), cell: combine(self.cell, old.cell) }
    }

    fn named(self) -> NamedState {
        NamedState { hidden: self.hidden, cell: Some(self.cell) }
    }

    fn from_named(state: NamedState) -> Self {
        Self { hidden: state.hidden, cell: state.cell.expect("the state of an LSTM has a cell") }
    }
}
