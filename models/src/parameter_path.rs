//! Names of parameters, as in checkpoints.
//!
//! The name of a parameter is its path: the declared names of the fields that lead to it, joined by dots. Layers of a list add their index,
//! recurrent layers also the name of the cell and the direction:
//!
//! | name | parameter |
//! |---|---|
//! | `embedding.weight` | embedding table of a classifier, tagger, language model or relation classifier |
//! | `source.weight`, `target.weight` | embedding tables of an encoder–decoder |
//! | `stack.layers.0.Lstm.forward.weights.weight_ih` | input weights of the first layer; so `weight_hh` and `bias` |
//! | `stack.layers.1.BiLstm.backward.weights.bias` | bias of the backward direction of the second layer |
//! | `stack.projections.0.weight`, `stack.gates.0.bias` | projection and gate of the first skip connection |
//! | `summary.attention.vector` | scorer of an attention pooling |
//! | `others.0.embedding.weight` | embedding table of the second member of an ensemble; the first has the names of a single network |
//! | `output.weight`, `output.bias`, `tied_bias` | output layer; bias of one that is tied to the embedding |
//!
//! `models/tests/golden/parameters.txt` lists the parameters of every network. Names never change, since existing checkpoints contain them. Each module
//! declares the names of its fields next to them, a cell in its [`INFO`](crate::cell::Cell::INFO); renaming a field changes the declaration's
//! left side only.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use seqzoo_random::{Key, Purpose};

use crate::layers::Architecture;
use crate::{cells, layers, networks};

/// The declared name of a field in checkpoints, given the field and its container as Burn reports them to a visitor;
/// `None` for types other than cells, layers and networks.
pub fn declared_name(container: &str, field: &str) -> Option<&'static str> {
    let all = networks::NAMES.iter().chain(layers::NAMES).chain([&cells::NAMES]);
    all.copied().flatten().find_map(|names| names.name(container, field))
}

/// Path of a parameter while a module is visited or mapped.
///
/// Call [`enter`](Self::enter) and [`exit`](Self::exit) from `enter_module` and `exit_module`.
#[derive(Debug, Default)]
pub struct ParameterPath(Vec<String>);

impl ParameterPath {
    /// Enters a field of a module: by its declared name, or by its own if its container declares none.
    pub fn enter(&mut self, field: &str, container: &str) {
        self.0.push(declared_name(container, field).unwrap_or(field).to_owned());
    }

    /// Leaves the last field entered.
    pub fn exit(&mut self) {
        self.0.pop();
    }

    /// Name of the current parameter. Fields whose declared name is empty are no part of it.
    pub fn name(&self) -> String {
        let parts = self.0.iter().map(String::as_str).filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(".")
    }
}

impl Architecture {
    /// Names and shapes of the recurrent layer's parameters.
    pub fn parameter_shapes(self, input_size: usize, hidden_size: usize, device: &Device) -> Vec<(String, Vec<usize>)> {
        #[derive(Default)]
        struct Shapes {
            path: ParameterPath,
            found: Vec<(String, Vec<usize>)>,
        }
        impl ModuleVisitor for Shapes {
            fn enter_module(&mut self, name: &str, container: &str) {
                self.path.enter(name, container);
            }
            fn exit_module(&mut self, _: &str, _: &str) {
                self.path.exit();
            }
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                // The first component of the path is the architecture.
                self.found.push((self.path.0[1..].join("."), param.val().dims().to_vec()));
            }
        }
        // Shapes of a tiny layer with unambiguous sizes, scaled up: initializing a large layer takes long.
        let (tiny_input, tiny_hidden) = (7, 5);
        let mut shapes = Shapes::default();
        self.build(tiny_input, tiny_hidden, Key::new(0, Purpose::Weights), device).visit(&mut shapes);
        let scaled = |size: usize| if size == tiny_input { input_size } else { size / tiny_hidden * hidden_size };
        shapes.found.into_iter().map(|(name, shape)| (name, shape.into_iter().map(scaled).collect())).collect()
    }
}
