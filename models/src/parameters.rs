//! Parameters by name, and networks without their type.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::{self, Debug};

use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use seqzoo_kernels::Execution;

use crate::networks::Network;
use crate::parameter_path::ParameterPath;

/// A tensor on the host: shape and values in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Shape.
    pub shape: Vec<usize>,
    /// Values; their number is the product of the dimensions.
    pub values: Vec<f32>,
}

/// Arrays by name, see [`parameter_path`](crate::parameter_path).
pub type Arrays = BTreeMap<String, Array>;

/// Tensors by parameter name, flattened to `[elements]`.
pub type Flat = BTreeMap<String, Tensor<1>>;

impl Array {
    /// Copies a tensor from its device.
    pub fn of<const D: usize>(tensor: Tensor<D>) -> Self {
        let shape = tensor.dims().to_vec();
        let values = tensor.try_into_vec_as::<f32>().expect("a device that computed a tensor can be read");
        Self { shape, values }
    }

    /// Copies the array to a tensor on `device`.
    pub fn tensor<const D: usize>(&self, device: &Device) -> Tensor<D> {
        Tensor::from_data(TensorData::new(self.values.clone(), self.shape.clone()), device)
    }
}

/// The new value of a parameter, given its name, shape and value; `None` keeps it.
pub type Change<'a> = dyn FnMut(&str, &[usize], Tensor<1>) -> Option<Tensor<1>> + 'a;

/// A network without its type: what training and loading need to know of it.
///
/// Every [`Network`] is one. Parameters are visited by name; their values are flattened to `[elements]` and not tracked
/// by autodiff.
pub trait DynNetwork: Debug + Send {
    /// A copy, which shares its tensors with the original until either is changed.
    fn boxed_clone(&self) -> Box<dyn DynNetwork>;

    /// A copy for evaluation, without autodiff.
    fn boxed_valid(&self) -> Box<dyn DynNetwork>;

    /// Sets how the layers are computed.
    fn set_execution(&mut self, execution: Execution);

    /// Calls `visit` with the name, the shape and the value of each parameter.
    fn visit_parameters(&self, visit: &mut dyn FnMut(&str, &[usize], Tensor<1>));

    /// Replaces each parameter for which `change`, given its name, shape and value, returns a new value.
    fn change_parameters(&mut self, change: &mut Change);

    /// The gradients by parameter; parameters on which the loss does not depend are left out.
    fn gradients(&self, gradients: &Gradients) -> Flat;

    /// The network, to be downcast to its type.
    fn as_any(&self) -> &dyn Any;
}

impl Clone for Box<dyn DynNetwork> {
    fn clone(&self) -> Self {
        self.boxed_clone()
    }
}

impl<N: Network + 'static> DynNetwork for N {
    fn boxed_clone(&self) -> Box<dyn DynNetwork> {
        Box::new(self.clone())
    }

    fn boxed_valid(&self) -> Box<dyn DynNetwork> {
        Box::new(self.valid())
    }

    fn set_execution(&mut self, execution: Execution) {
        Network::set_execution(self, execution);
    }

    fn visit_parameters(&self, visit: &mut dyn FnMut(&str, &[usize], Tensor<1>)) {
        self.visit(&mut Visitor { path: ParameterPath::default(), visit });
    }

    fn change_parameters(&mut self, change: &mut Change) {
        *self = self.clone().map(&mut Mapper { path: ParameterPath::default(), change });
    }

    fn gradients(&self, gradients: &Gradients) -> Flat {
        let mut collector = Collector { path: ParameterPath::default(), gradients, flat: Flat::new() };
        self.visit(&mut collector);
        collector.flat
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Implements the methods of a visitor or mapper that follow the path.
macro_rules! follow_path {
    () => {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.path.enter(name, container);
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.exit();
        }
    };
}

/// The value of a parameter without autodiff, flattened.
fn flat<const D: usize>(param: &Param<Tensor<D>>) -> Tensor<1> {
    let value = param.val();
    let value = if value.is_autodiff() { value.inner() } else { value };
    let elements: usize = value.dims().iter().product();
    value.reshape([elements])
}

struct Visitor<'a> {
    path: ParameterPath,
    visit: &'a mut dyn FnMut(&str, &[usize], Tensor<1>),
}

impl ModuleVisitor for Visitor<'_> {
    follow_path!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        (self.visit)(&self.path.name(), &param.val().dims(), flat(param));
    }
}

struct Mapper<'a> {
    path: ParameterPath,
    change: &'a mut Change<'a>,
}

impl ModuleMapper for Mapper<'_> {
    follow_path!();

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.val().dims();
        let Some(new) = (self.change)(&self.path.name(), &shape, flat(&param)) else { return param };
        param.map(|old| {
            let new = new.reshape(shape);
            let new = if old.is_autodiff() { Tensor::from_inner(new) } else { new };
            new.set_require_grad(old.is_require_grad())
        })
    }
}

struct Collector<'a> {
    path: ParameterPath,
    gradients: &'a Gradients,
    flat: Flat,
}

impl ModuleVisitor for Collector<'_> {
    follow_path!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad(self.gradients) {
            let elements: usize = gradient.dims().iter().product();
            self.flat.insert(self.path.name(), gradient.reshape([elements]));
        }
    }
}

/// The parameters of a network, copied to the host.
pub fn read(network: &dyn DynNetwork) -> Arrays {
    let mut arrays = Arrays::new();
    network.visit_parameters(&mut |name, shape, value| {
        arrays.insert(name.to_owned(), Array { shape: shape.to_vec(), ..Array::of(value) });
    });
    arrays
}

/// Differences between the parameters of a network and the tensors to load into it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mismatch {
    /// Parameters without a tensor.
    pub missing: Vec<String>,
    /// Tensors that the network has no parameter for.
    pub unexpected: Vec<String>,
    /// Tensors of another shape than their parameter: name, shape of the tensor, shape of the parameter.
    pub misshaped: Vec<(String, Vec<usize>, Vec<usize>)>,
}

impl Mismatch {
    fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.misshaped.is_empty()
    }
}

impl std::error::Error for Mismatch {}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |kind: &str, names: &[String]| (!names.is_empty()).then(|| format!("{kind}: {}", names.join(", ")));
        let misshaped = self.misshaped.iter().map(|(name, found, expected)| {
            format!("tensor {name} has shape {found:?}; this network needs {expected:?}")
        });
        let parts = [list("missing tensors", &self.missing), list("unexpected tensors", &self.unexpected)];
        let parts: Vec<String> = parts.into_iter().flatten().chain(misshaped).collect();
        f.write_str(&parts.join("; "))
    }
}

/// Replaces all parameters of a network.
///
/// # Errors
/// If a tensor is missing, unexpected or misshaped; the network is unchanged.
pub fn write(network: &mut dyn DynNetwork, arrays: &Arrays) -> Result<(), Mismatch> {
    let mismatch = compare(network, arrays);
    if !mismatch.is_empty() {
        return Err(mismatch);
    }
    write_matching(network, arrays);
    Ok(())
}

/// Replaces the parameters of a network that have a tensor of their name and shape; returns the differences.
pub fn write_matching(network: &mut dyn DynNetwork, arrays: &Arrays) -> Mismatch {
    let mismatch = compare(network, arrays);
    network.change_parameters(&mut |name, shape, old| {
        let array = arrays.get(name).filter(|array| array.shape == shape)?;
        Some(Tensor::from_data(array.values.as_slice(), &old.device()))
    });
    mismatch
}

fn compare(network: &dyn DynNetwork, arrays: &Arrays) -> Mismatch {
    let mut mismatch = Mismatch { unexpected: arrays.keys().cloned().collect(), ..Mismatch::default() };
    network.visit_parameters(&mut |name, expected, _| {
        mismatch.unexpected.retain(|unexpected| unexpected != name);
        match arrays.get(name) {
            None => mismatch.missing.push(name.to_owned()),
            Some(array) if array.shape == expected => {}
            Some(array) => mismatch.misshaped.push((name.to_owned(), array.shape.clone(), expected.to_vec())),
        }
    });
    mismatch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Architecture;
    use crate::layers::{Pooling, StackShape};
    use crate::networks::{Classifier, ClassifierShape};
    use seqzoo_kernels::devices;

    fn network(architecture: Architecture, seed: u64, device: &Device) -> Classifier {
        let shape = ClassifierShape {
            vocabulary: 7,
            stack: StackShape::plain(architecture, 3, vec![4, 5]),
            pooling: Pooling::Attention,
            labels: 2,
            dropout: 0.0,
            embedding_dropout: 0.0,
        };
        Classifier::new(shape, seed, device)
    }

    #[test]
    fn parameters_round_trip_between_networks() {
        for (_, device) in devices() {
            for device in [device.clone(), device.autodiff()] {
                let [one, mut other] = [1, 2].map(|seed| network(Architecture::BiLstm, seed, &device));
                let arrays = read(&one);
                assert_ne!(read(&other), arrays);
                write(&mut other, &arrays).unwrap();
                assert_eq!(read(&other), arrays);
                assert!(arrays.contains_key("embedding.weight") && arrays.contains_key("output.bias"));
            }
        }
    }

    #[test]
    fn missing_unexpected_and_misshaped_tensors_are_reported_and_nothing_is_loaded() {
        let (_, device) = devices().remove(0);
        let mut one = network(Architecture::Rnn, 1, &device);
        let mut arrays = read(&network(Architecture::Rnn, 2, &device));
        arrays.get_mut("output.bias").unwrap().shape = vec![1, 2];
        let embedding = arrays.remove("embedding.weight").unwrap();
        arrays.insert("embeddings".to_owned(), embedding);
        let before = read(&one);
        let mismatch = write(&mut one, &arrays).unwrap_err();
        assert_eq!(
            mismatch.to_string(),
            "missing tensors: embedding.weight; unexpected tensors: embeddings; tensor output.bias has shape [1, 2]; \
             this network needs [2]"
        );
        assert_eq!(read(&one), before);
        assert_eq!(write_matching(&mut one, &arrays), mismatch);
        let after = read(&one);
        assert_eq!(
            (&after["output.weight"], &after["output.bias"]),
            (&arrays["output.weight"], &before["output.bias"])
        );
    }

    #[test]
    fn changes_by_name_keep_parameters_trainable() {
        let device = devices().remove(0).1.autodiff();
        let mut boxed: Box<dyn DynNetwork> = Box::new(network(Architecture::Gru, 1, &device));
        boxed.change_parameters(&mut |name, _, value| (name == "output.bias").then(|| value + 1.0));
        let network: &Classifier = boxed.as_any().downcast_ref().unwrap();
        assert_eq!(read(network)["output.bias"].values, [1.0, 1.0]);
        let tokens = Tensor::from_data([[2, 3]], &device);
        let loss = network.forward(tokens, &[2], None).sum();
        let gradients = boxed.gradients(&loss.backward());
        assert_eq!(Array::of(gradients["output.bias"].clone()).values, [1.0, 1.0]);
    }
}
