//! Numbers that are a function of their place, comparisons, parameters by name.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use seqzoo_random::{Key, Purpose, RngExt};

pub(crate) fn key(place: u64) -> Key {
    Key::new(11, Purpose::Weights).at(place)
}

/// Numbers in ±1 that are a function of `place` alone.
pub(crate) fn numbers(count: usize, place: u64) -> Vec<f32> {
    let mut stream = Key::new(5, Purpose::Data).at(place).stream();
    (0..count).map(|_| stream.random_range(-1.0..1.0)).collect()
}

pub(crate) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as::<f32>().unwrap()
}

/// Largest difference, over the largest magnitude of `b`.
pub(crate) fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    // A maximum passes over what is not a number; a comparison must not.
    if !a.iter().chain(b).all(|value| value.is_finite()) {
        return f32::INFINITY;
    }
    let largest = b.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
    a.iter().zip(b).fold(0.0, |most: f32, (a, b)| most.max((a - b).abs())) / largest
}

#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    fn name(&self) -> String {
        // A recurrent layer is an enum; its spec's name, in capitals, is no part of a parameter's name here.
        let fields = self.0.iter().filter(|part| !part.starts_with(|c: char| c.is_ascii_uppercase()));
        fields.cloned().collect::<Vec<_>>().join(".")
    }
}

/// Every parameter of a module, by name.
pub(crate) fn parameters<M: Module>(module: &M) -> BTreeMap<String, Vec<f32>> {
    narrow(read(module, None))
}

/// Every gradient of a module's parameters, by name.
pub(crate) fn gradients<M: Module>(module: &M, tape: &Gradients) -> BTreeMap<String, Vec<f32>> {
    narrow(read(module, Some(tape)))
}

/// As [`gradients`], with all digits that f64 has.
pub(crate) fn wide_gradients<M: Module>(module: &M, tape: &Gradients) -> BTreeMap<String, Vec<f64>> {
    read(module, Some(tape))
}

fn narrow(found: BTreeMap<String, Vec<f64>>) -> BTreeMap<String, Vec<f32>> {
    found.into_iter().map(|(name, values)| (name, values.into_iter().map(|value| value as f32).collect())).collect()
}

fn read<M: Module>(module: &M, tape: Option<&Gradients>) -> BTreeMap<String, Vec<f64>> {
    struct Reader<'a> {
        path: Path,
        found: BTreeMap<String, Vec<f64>>,
        tape: Option<&'a Gradients>,
    }
    impl ModuleVisitor for Reader<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let found = match self.tape {
                None => param.val(),
                Some(tape) => param.val().grad(tape).expect("every parameter takes part"),
            };
            self.found.insert(self.path.name(), found.try_into_vec_as::<f64>().unwrap());
        }
    }
    let mut reader = Reader { path: Path::default(), found: BTreeMap::new(), tape };
    module.visit(&mut reader);
    reader.found
}

/// The module with parameters set by name, in f32 or f64.
pub(crate) fn with_parameters<M: Module>(module: M, set: &dyn Fn(&str, usize) -> Vec<f64>, dtype: DType) -> M {
    struct Writer<'a> {
        path: Path,
        set: &'a dyn Fn(&str, usize) -> Vec<f64>,
        dtype: DType,
    }
    impl ModuleMapper for Writer<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.0.pop();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let shape = param.val().dims();
            let values = (self.set)(&self.path.name(), shape.iter().product());
            param.map(|old| {
                let new = Tensor::from_data(TensorData::new(values, shape), (&old.device(), self.dtype));
                new.set_require_grad(old.is_require_grad())
            })
        }
    }
    module.map(&mut Writer { path: Path::default(), set, dtype })
}
