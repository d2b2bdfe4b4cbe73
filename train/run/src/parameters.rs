//! Parameters by name: read from and written to modules and safetensors files.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
pub use seqzoo_models::parameters::ParameterPath;

/// A tensor on the host: shape and values in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Shape.
    pub shape: Vec<usize>,
    /// Values; their number is the product of the dimensions.
    pub values: Vec<f32>,
}

/// Arrays by name; a parameter's name is its path in the module, such as `output.weight`.
pub type Arrays = BTreeMap<String, Array>;

/// Error of loading parameters into a module.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ParameterError {
    /// Not a safetensors file.
    #[error("not a safetensors file: {0}")]
    Malformed(String),
    /// A tensor is not of type f32.
    #[error("tensor {0} is not of type F32")]
    NotF32(String),
    /// A parameter has no array.
    #[error("tensor {0} is missing")]
    Missing(String),
    /// An array has the wrong shape.
    #[error("tensor {name} has shape {found:?}; this network needs {expected:?}")]
    Shape {
        /// The parameter.
        name: String,
        /// Shape of the array.
        found: Vec<usize>,
        /// Shape of the parameter.
        expected: Vec<usize>,
    },
}

impl Array {
    /// Copies a tensor from its device.
    pub fn of<const D: usize>(tensor: Tensor<D>) -> Self {
        let shape = tensor.dims().to_vec();
        let values = tensor.try_into_vec_as::<f32>().expect("a device that computed a tensor can be read");
        Self { shape, values }
    }
}

impl Array {
    /// Copies the array to a tensor on `device`.
    pub fn tensor<const D: usize>(&self, device: &Device) -> Tensor<D> {
        Tensor::from_data(TensorData::new(self.values.clone(), self.shape.clone()), device)
    }
}

/// Float parameters of a module.
pub fn read<M: Module>(module: &M) -> Arrays {
    #[derive(Default)]
    struct Reader {
        path: ParameterPath,
        arrays: Arrays,
    }
    impl ModuleVisitor for Reader {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.path.enter(name, container);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.arrays.insert(self.path.name(), Array::of(param.val()));
        }
    }
    let mut reader = Reader::default();
    module.visit(&mut reader);
    reader.arrays
}

/// Replaces all float parameters of a module.
///
/// # Errors
/// If a parameter is missing or has another shape. The module is consumed; pass a clone to keep it.
pub fn write<M: Module>(module: M, arrays: &Arrays) -> Result<M, ParameterError> {
    struct Writer<'a> {
        path: ParameterPath,
        arrays: &'a Arrays,
        error: Option<ParameterError>,
    }
    impl ModuleMapper for Writer<'_> {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.path.enter(name, container);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.exit();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let name = self.path.name();
            let expected = param.val().dims().to_vec();
            match self.arrays.get(&name) {
                Some(array) if array.shape == expected => param.map(|old| {
                    let data = TensorData::new(array.values.clone(), array.shape.clone());
                    Tensor::from_data(data, &old.device()).set_require_grad(old.is_require_grad())
                }),
                found => {
                    let error = match found {
                        None => ParameterError::Missing(name),
                        Some(array) => ParameterError::Shape { name, found: array.shape.clone(), expected },
                    };
                    self.error.get_or_insert(error);
                    param
                }
            }
        }
    }
    let mut writer = Writer { path: ParameterPath::default(), arrays, error: None };
    let module = module.map(&mut writer);
    writer.error.map_or(Ok(module), Err)
}

/// Serializes arrays to a safetensors file, deterministically.
pub fn to_safetensors(arrays: &Arrays) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> =
        arrays.values().map(|array| array.values.iter().flat_map(|value| value.to_le_bytes()).collect()).collect();
    let views = arrays.iter().zip(&bytes).map(|((name, array), bytes)| {
        let view = TensorView::new(Dtype::F32, array.shape.clone(), bytes).expect("four bytes per value of the shape");
        (name.as_str(), view)
    });
    safetensors::serialize(views, None).expect("f32 views of matching sizes can be written")
}

/// Deserializes a safetensors file.
///
/// # Errors
/// If the bytes are not a safetensors file, or a tensor is not of type f32.
pub fn from_safetensors(bytes: &[u8]) -> Result<Arrays, ParameterError> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| ParameterError::Malformed(error.to_string()))?;
    let mut arrays = Arrays::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(ParameterError::NotF32(name.to_owned()));
        }
        let value = |bytes: &[u8; 4]| f32::from_le_bytes(*bytes);
        let values = view.data().as_chunks().0.iter().map(value).collect();
        arrays.insert(name.to_owned(), Array { shape: view.shape().to_vec(), values });
    }
    Ok(arrays)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use seqzoo_kernels::devices;
    use seqzoo_models::Architecture;
    use seqzoo_models::layers::{Pooling, StackShape};
    use seqzoo_models::networks::{Classifier, ClassifierShape};

    fn shape(architecture: Architecture) -> ClassifierShape {
        ClassifierShape {
            vocabulary: 7,
            stack: StackShape::plain(architecture, 3, vec![4, 5]),
            pooling: Pooling::Attention,
            labels: 2,
            dropout: 0.0,
            embedding_dropout: 0.0,
        }
    }

    proptest! {
        #[test]
        fn safetensors_round_trips_every_bit(bits in proptest::collection::vec(any::<u32>(), 0..20)) {
            let values: Vec<f32> = bits.iter().copied().map(f32::from_bits).collect();
            let arrays = Arrays::from([
                ("a".to_owned(), Array { shape: vec![1, values.len()], values: values.clone() }),
                ("b.c".to_owned(), Array { shape: vec![values.len()], values }),
            ]);
            let again = from_safetensors(&to_safetensors(&arrays)).unwrap();
            for (name, array) in &arrays {
                let found: Vec<u32> = again[name].values.iter().map(|value| value.to_bits()).collect();
                prop_assert_eq!(&found, &bits);
                prop_assert_eq!(&again[name].shape, &array.shape);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = from_safetensors(&bytes);
        }
    }

    #[test]
    fn parameters_round_trip_between_networks() {
        for (_, device) in devices() {
            let [one, other] = [1, 2].map(|seed| Classifier::new(shape(Architecture::BiLstm), seed, &device));
            let arrays = read(&one);
            assert_ne!(read(&other), arrays);
            assert_eq!(read(&write(other, &arrays).unwrap()), arrays);
            assert!(arrays.contains_key("embedding.weight") && arrays.contains_key("output.bias"));
        }
    }

    #[test]
    fn a_missing_or_misshapen_tensor_is_named() {
        let (_, device) = devices().remove(0);
        let network = Classifier::new(shape(Architecture::Rnn), 1, &device);
        let mut arrays = read(&network);
        arrays.get_mut("output.bias").unwrap().shape = vec![1, 2];
        let error = write(network.clone(), &arrays).unwrap_err();
        assert_eq!(error.to_string(), "tensor output.bias has shape [1, 2]; this network needs [2]");
        arrays.remove("output.bias");
        assert_eq!(write(network, &arrays).unwrap_err(), ParameterError::Missing("output.bias".to_owned()));
    }
}
