//! Dropout in its forms, with masks that are a function of a key.
//!
//! Masks are drawn on the host, so they are the same on every backend and when a step is run again. All of these are for
//! training; at inference, do not call them.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use seqzoo_random::Key;

use crate::cell::mask;

/// Sets each element to zero with probability `rate` and scales the rest by 1 / (1 − `rate`); without noise nothing is dropped.
///
/// Srivastava et al., "Dropout", JMLR 15, 2014.
pub fn dropout<const D: usize>(input: Tensor<D>, rate: f64, noise: Option<Key>) -> Tensor<D> {
    let shape = input.dims();
    match noise {
        Some(key) => dropout_by(input, shape, rate, key),
        None => input,
    }
}

/// The same mask at every step of `[batch, time, features]` ("locked", or variational).
///
/// Gal and Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks", NIPS 2016.
pub fn locked(input: Tensor<3>, rate: f64, key: Key) -> Tensor<3> {
    let [batch, _, features] = input.dims();
    dropout_by(input, [batch, 1, features], rate, key)
}

/// Drops whole rows of a table of embeddings `[tokens, features]`: every occurrence of a token in the batch at once; without noise
/// none.
///
/// Merity et al., "Regularizing and optimizing LSTM language models", ICLR 2018.
pub fn rows(table: Tensor<2>, rate: f64, noise: Option<Key>) -> Tensor<2> {
    let [tokens, _] = table.dims();
    match noise {
        Some(key) => dropout_by(table, [tokens, 1], rate, key),
        None => table,
    }
}

/// The module with dropout applied to its recurrent weights (parameters named `weight_h…`), once for a whole sequence.
///
/// Merity et al., "Regularizing and optimizing LSTM language models", ICLR 2018, after Wan et al. 2013 (DropConnect).
pub fn recurrent_weights<M: Module>(module: M, rate: f64, key: Key) -> M {
    struct Dropper {
        rate: f64,
        key: Key,
        dropped: u64,
        field: String,
    }
    impl ModuleMapper for Dropper {
        fn enter_module(&mut self, name: &str, _: &str) {
            name.clone_into(&mut self.field);
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if !self.field.starts_with("weight_h") {
                return param;
            }
            self.dropped += 1;
            let key = self.key.place(self.dropped);
            // Not `Param::map`'s kin that require a gradient anew: the result must stay tied to the trained weights.
            let (id, weights, mapper) = param.consume();
            Param::from_mapped_value(id, dropout(weights, self.rate, Some(key)), mapper)
        }
    }
    if rate == 0.0 {
        return module;
    }
    module.map(&mut Dropper { rate, key, dropped: 0, field: String::new() })
}

fn dropout_by<const D: usize>(input: Tensor<D>, shape: [usize; D], rate: f64, key: Key) -> Tensor<D> {
    if rate == 0.0 {
        return input;
    }
    let dropped = mask(shape, rate, key, &input.device()).expand(input.dims());
    input.mask_fill(dropped, 0.0) * (1.0 / (1.0 - rate))
}
