//! Dropout variants with masks that are a function of a random key.
//!
//! Masks are drawn on the host, so they are identical on every backend and when a training step is repeated. Without a
//! key, or at a rate of 0, nothing is dropped.

use std::marker::PhantomData;

use burn::module::{ModuleMapper, Param};
use burn::tensor::Tensor;
use seqzoo_random::Key;

use crate::cell::{Cell, Weights, bernoulli_mask};

/// Dropout: sets each element to zero with probability `rate` and scales the rest by 1 / (1 − `rate`).
///
/// `dropout_key` is the key of the mask; `None` (inference) returns the input unchanged.
///
/// Srivastava et al., "Dropout", JMLR 15, 2014.
pub fn dropout<const D: usize>(input: Tensor<D>, rate: f64, dropout_key: Option<Key>) -> Tensor<D> {
    let shape = input.dims();
    match dropout_key {
        Some(key) => dropout_by(input, shape, rate, key),
        None => input,
    }
}

/// Variational (locked) dropout: the same mask at every time step of `[batch, time, features]`.
///
/// Gal and Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks", NIPS 2016.
pub fn locked_dropout(input: Tensor<3>, rate: f64, key: Key) -> Tensor<3> {
    let [batch, _, features] = input.dims();
    dropout_by(input, [batch, 1, features], rate, key)
}

/// Embedding dropout: drops whole rows of an embedding table, `[tokens, features]`, and thus every occurrence of a
/// token in the batch.
///
/// `dropout_key` is the key of the mask; `None` (inference) returns the table unchanged.
///
/// Merity et al., "Regularizing and optimizing LSTM language models", ICLR 2018.
pub fn embedding_dropout(table: Tensor<2>, rate: f64, dropout_key: Option<Key>) -> Tensor<2> {
    let [tokens, _] = table.dims();
    match dropout_key {
        Some(key) => dropout_by(table, [tokens, 1], rate, key),
        None => table,
    }
}

/// DropConnect on the recurrent weights of a cell (parameters whose declared names start with `weight_h`), with one mask
/// for the whole sequence.
///
/// Merity et al., "Regularizing and optimizing LSTM language models", ICLR 2018, after Wan et al. 2013 (DropConnect).
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
            Param::from_mapped_value(id, dropout(weights, self.rate, Some(key)), mapper)
        }
    }
    if rate == 0.0 {
        return cell;
    }
    cell.map(&mut Dropper::<C> { rate, key, dropped: 0, is_recurrent: false, cell: PhantomData })
}

fn dropout_by<const D: usize>(input: Tensor<D>, shape: [usize; D], rate: f64, key: Key) -> Tensor<D> {
    if rate == 0.0 {
        return input;
    }
    let dropped = bernoulli_mask(shape, rate, key, &input.device()).expand(input.dims());
    input.mask_fill(dropped, 0.0) * (1.0 / (1.0 - rate))
}
