//! Dropout methods whose masks are functions of a [`DropoutKey`]. Without a key, or at a rate of 0, nothing is dropped.

use std::marker::PhantomData;

use burn::module::{ModuleMapper, Param};
use burn::tensor::{Bool, Tensor};
use seqzoo_random::Key;

use crate::cell::{Cell, Weights};
use crate::dropout_key::{DropoutKey, bernoulli_mask};

/// Dropout: sets each element to zero with probability `rate` and scales the rest by 1 / (1 − `rate`).
///
/// ```text
/// y = m ⊙ x / (1 − rate)        m = 0 with probability rate, else 1
/// ```
///
/// The first dimension of `input` is the batch.
///
/// Differences from PyTorch's `Dropout`: the mask is a function of the key; without a key, as at inference, nothing is
/// dropped.
///
/// Srivastava et al., "Dropout", JMLR 15, 2014.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::{Key, Purpose, layers::dropout::dropout};
///
/// let ones = Tensor::<2>::ones([2, 8], &Device::flex());
/// let dropped = dropout(ones, 0.5, Some(Key::new(1, Purpose::Dropout))).try_into_vec_as::<f32>().unwrap();
/// assert!(dropped.iter().all(|&value| value == 0.0 || value == 2.0));
/// ```
pub fn dropout<const D: usize>(input: Tensor<D>, rate: f64, dropout_key: impl Into<DropoutKey>) -> Tensor<D> {
    let shape = input.dims();
    dropout_rows(input, shape, rate, &dropout_key.into())
}

/// Variational (locked) dropout: the same mask at every time step of `[batch, time, features]`.
///
/// Gal and Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks", NIPS 2016.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::{Key, Purpose, layers::dropout::locked_dropout};
///
/// let ones = Tensor::ones([2, 5, 8], &Device::flex());
/// let dropped = locked_dropout(ones, 0.5, Some(Key::new(1, Purpose::Dropout)));
/// assert_eq!(dropped.clone().narrow(1, 0, 1).into_data(), dropped.narrow(1, 4, 1).into_data());
/// ```
pub fn locked_dropout(input: Tensor<3>, rate: f64, dropout_key: impl Into<DropoutKey>) -> Tensor<3> {
    let [batch, _, features] = input.dims();
    dropout_rows(input, [batch, 1, features], rate, &dropout_key.into())
}

/// Embedding dropout: drops whole rows of an embedding table, `[tokens, features]`, and thus every occurrence of a
/// token in the batch.
///
/// Merity et al., "Regularizing and optimizing LSTM language models", ICLR 2018.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::{Key, Purpose, layers::dropout::embedding_dropout};
///
/// let table = Tensor::ones([100, 4], &Device::flex());
/// let dropped = embedding_dropout(table, 0.5, Some(Key::new(1, Purpose::Dropout)));
/// assert_eq!(dropped.clone().narrow(1, 0, 1).into_data(), dropped.narrow(1, 3, 1).into_data());
/// ```
pub fn embedding_dropout(table: Tensor<2>, rate: f64, dropout_key: impl Into<DropoutKey>) -> Tensor<2> {
    let [tokens, _] = table.dims();
    match dropout_key.into().batch() {
        Some(key) if rate > 0.0 => {
            let dropped = bernoulli_mask([tokens, 1], rate, key, &table.device());
            drop_and_scale(table, dropped, rate)
        }
        _ => table,
    }
}

/// DropConnect on the recurrent weights of a cell (parameters whose declared names start with `weight_h`), with one
/// mask for all sequences of a batch and all their time steps.
///
/// Merity et al., "Regularizing and optimizing LSTM language models", ICLR 2018, after Wan et al. 2013 (DropConnect).
///
/// ```
/// use burn::tensor::Device;
/// use seqzoo_models::{Key, Purpose, cell::Cell, cells::Lstm, layers::dropout::drop_connect};
///
/// let lstm = Lstm::new(3, 4, Key::new(1, Purpose::Weights), &Device::flex());
/// let dropped = drop_connect(lstm.clone(), 0.5, Key::new(1, Purpose::Dropout));
/// assert_eq!(dropped.weights().weight_ih().into_data(), lstm.weights().weight_ih().into_data());
/// assert_ne!(dropped.weights().weight_hh().into_data(), lstm.weights().weight_hh().into_data());
/// ```
pub fn drop_connect<C: Cell>(cell: C, rate: f64, key: Key) -> C {
    struct Dropper<C> {
        rate: f64,
        key: Key,
        dropped: u64,
        is_recurrent: bool,
        cell: PhantomData<C>,
    }
    impl<C: Cell> ModuleMapper for Dropper<C> {
        fn enter_module(&mut self, field: &str, container: &str) {
            let names = [C::INFO.parameters, Weights::NAMES];
            let name = names.iter().find_map(|names| names.name(container, field));
            self.is_recurrent = name.is_some_and(|name| name.starts_with("weight_h"));
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if !self.is_recurrent {
                return param;
            }
            self.dropped += 1;
            let key = self.key.offset(self.dropped);
            // `Param::map` would create a new leaf; gradients must flow back to the trained weights.
            let (id, weights, mapper) = param.consume();
            let dropped = bernoulli_mask(weights.dims(), self.rate, key, &weights.device());
            Param::from_mapped_value(id, drop_and_scale(weights, dropped, self.rate), mapper)
        }
    }
    if rate == 0.0 {
        return cell;
    }
    cell.map(&mut Dropper::<C> { rate, key, dropped: 0, is_recurrent: false, cell: PhantomData })
}

/// Dropout with a mask of `shape` that is broadcast to the shape of the input; each row of the mask is drawn separately.
fn dropout_rows<const D: usize>(input: Tensor<D>, shape: [usize; D], rate: f64, dropout_key: &DropoutKey) -> Tensor<D> {
    if rate == 0.0 {
        return input;
    }
    match dropout_key.mask(shape, rate, &input.device()) {
        Some(dropped) => drop_and_scale(input, dropped, rate),
        None => input,
    }
}

fn drop_and_scale<const D: usize>(input: Tensor<D>, dropped: Tensor<D, Bool>, rate: f64) -> Tensor<D> {
    let dropped = dropped.expand(input.dims());
    input.mask_fill(dropped, 0.0) * (1.0 / (1.0 - rate))
}
