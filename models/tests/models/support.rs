//! Deterministic pseudorandom values, comparisons, parameters by name; small shapes.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Gradients, Int, Tensor, TensorData};
use seqzoo_models::Architecture;
use seqzoo_models::layers::StackShape;
use seqzoo_models::networks::TaggerShape;
use seqzoo_models::parameter_path::ParameterPath;
use seqzoo_random::{Key, Purpose, RngExt};

pub(crate) fn key(index: u64) -> Key {
    Key::new(11, Purpose::Weights).with_first(index)
}

/// `count` pseudorandom values in ±1, determined only by `index`.
pub(crate) fn numbers(count: usize, index: u64) -> Vec<f32> {
    let mut stream = Key::new(5, Purpose::Data).with_first(index).stream();
    (0..count).map(|_| stream.random_range(-1.0..1.0)).collect()
}

pub(crate) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as::<f32>().unwrap()
}

/// Largest absolute difference, relative to the largest magnitude of `b`; infinite if any value is not finite.
pub(crate) fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    // `f32::max` ignores NaN.
    if !a.iter().chain(b).all(|value| value.is_finite()) {
        return f32::INFINITY;
    }
    let largest = b.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
    a.iter().zip(b).fold(0.0, |most: f32, (a, b)| most.max((a - b).abs())) / largest
}

/// Name of the current parameter, without the variant name of `Recurrent`, which is capitalized.
fn short_name(path: &ParameterPath) -> String {
    let name = path.name();
    let parts = name.split('.').filter(|part| !part.starts_with(|c: char| c.is_ascii_uppercase()));
    parts.collect::<Vec<_>>().join(".")
}

/// Every parameter of a module, by name.
pub(crate) fn parameters<M: Module>(module: &M) -> BTreeMap<String, Vec<f32>> {
    to_f32(collect(module, None))
}

/// Every gradient of a module's parameters, by name.
pub(crate) fn gradients<M: Module>(module: &M, tape: &Gradients) -> BTreeMap<String, Vec<f32>> {
    to_f32(collect(module, Some(tape)))
}

/// As [`gradients`], in f64.
pub(crate) fn wide_gradients<M: Module>(module: &M, tape: &Gradients) -> BTreeMap<String, Vec<f64>> {
    collect(module, Some(tape))
}

fn to_f32(found: BTreeMap<String, Vec<f64>>) -> BTreeMap<String, Vec<f32>> {
    found.into_iter().map(|(name, values)| (name, values.into_iter().map(|value| value as f32).collect())).collect()
}

fn collect<M: Module>(module: &M, tape: Option<&Gradients>) -> BTreeMap<String, Vec<f64>> {
    struct Collector<'a> {
        path: ParameterPath,
        found: BTreeMap<String, Vec<f64>>,
        tape: Option<&'a Gradients>,
    }
    impl ModuleVisitor for Collector<'_> {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.path.enter(name, container);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let found = match self.tape {
                None => param.val(),
                Some(tape) => param.val().grad(tape).expect("every parameter has a gradient"),
            };
            self.found.insert(short_name(&self.path), found.try_into_vec_as::<f64>().unwrap());
        }
    }
    let mut collector = Collector { path: ParameterPath::default(), found: BTreeMap::new(), tape };
    module.visit(&mut collector);
    collector.found
}

/// The module with parameters set by name, in f32 or f64.
pub(crate) fn with_parameters<M: Module>(module: M, set: &dyn Fn(&str, usize) -> Vec<f64>, dtype: DType) -> M {
    struct Setter<'a> {
        path: ParameterPath,
        set: &'a dyn Fn(&str, usize) -> Vec<f64>,
        dtype: DType,
    }
    impl ModuleMapper for Setter<'_> {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.path.enter(name, container);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.exit();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let shape = param.val().dims();
            let values = (self.set)(&short_name(&self.path), shape.iter().product());
            param.map(|old| {
                let new = Tensor::from_data(TensorData::new(values, shape), (&old.device(), self.dtype));
                new.set_require_grad(old.is_require_grad())
            })
        }
    }
    module.map(&mut Setter { path: ParameterPath::default(), set, dtype })
}

/// Token ids `[rows, time]`; rows are filled up with `padding`.
pub(crate) fn tokens(rows: &[Vec<i32>], time: usize, padding: i32, device: &Device) -> Tensor<2, Int> {
    let filled =
        |row: &Vec<i32>| -> Vec<i32> { row.iter().copied().chain(std::iter::repeat(padding)).take(time).collect() };
    Tensor::from_data(TensorData::new(rows.iter().flat_map(filled).collect::<Vec<i32>>(), [rows.len(), time]), device)
}

/// A bidirectional LSTM with three units per direction.
pub(crate) fn bilstm(input_size: usize) -> StackShape {
    StackShape::plain(Architecture::BiLstm, input_size, vec![3])
}

/// A small tagger without a character encoder.
pub(crate) fn tagger() -> TaggerShape {
    TaggerShape {
        vocabulary: 9,
        embedding_size: 4,
        character_encoder: None,
        stack: bilstm(4),
        labels: 3,
        crf: false,
        sentence: None,
        dropout: 0.0,
        embedding_dropout: 0.0,
    }
}

/// All label sequences of this length.
pub(crate) fn paths(labels: usize, length: usize) -> Vec<Vec<usize>> {
    (0..length).fold(vec![Vec::new()], |paths, _| {
        let longer =
            |path: &Vec<usize>| (0..labels).map(|label| [path.clone(), vec![label]].concat()).collect::<Vec<_>>();
        paths.iter().flat_map(longer).collect()
    })
}
