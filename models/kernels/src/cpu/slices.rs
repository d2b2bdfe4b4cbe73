//! Conversion between tensors of CPU backends and slices.

#![allow(deprecated)] // Burn deprecates its ndarray backend, kept as a second CPU backend to compare with

#[cfg(feature = "ndarray")]
use burn::backend::ndarray::SharedArray;
use burn::backend::{BackendTensor, DispatchTensorKind};
use burn::tensor::{DType, Tensor};

use cpu_backends::*;

/// The CPU backends that are linked in, and their tensors.
pub(crate) mod cpu_backends {
    #[cfg(feature = "flex")]
    pub(crate) use burn::backend::{Flex, flex::FlexTensor};
    #[cfg(feature = "ndarray")]
    pub(crate) use burn::backend::{NdArray, ndarray::NdArrayTensor};
}

/// Calls `$implement!(Backend, Tensor, tensor_of)` for every CPU backend that is linked in; `tensor_of` makes a tensor from
/// values and shape.
macro_rules! for_each_cpu_backend {
    ($implement:ident) => {
        #[cfg(feature = "flex")]
        $implement!(Flex, FlexTensor, $crate::cpu::slices::flex_tensor);
        #[cfg(feature = "ndarray")]
        $implement!(NdArray, NdArrayTensor, $crate::cpu::slices::ndarray_tensor);
    };
}
pub(crate) use for_each_cpu_backend;

#[cfg(feature = "flex")]
pub(crate) fn flex_tensor(values: Vec<f32>, shape: Vec<usize>) -> FlexTensor {
    FlexTensor::from_data(burn::tensor::TensorData::new(values, shape))
}

#[cfg(feature = "ndarray")]
fn shared(tensor: NdArrayTensor) -> SharedArray<f32> {
    match tensor {
        NdArrayTensor::F32(storage) => {
            let array = storage.into_shared();
            if array.is_standard_layout() { array } else { array.as_standard_layout().to_shared() }
        }
        _ => panic!("supports() admits f32 only"),
    }
}

#[cfg(feature = "ndarray")]
pub(crate) fn ndarray_tensor(values: Vec<f32>, shape: Vec<usize>) -> NdArrayTensor {
    SharedArray::from_shape_vec(ndarray::IxDyn(&shape), values).expect("the shape has as many elements").into()
}

/// A matrix of `rows` rows.
pub(crate) fn rows<T>(values: Vec<f32>, rows: usize, tensor_of: impl Fn(Vec<f32>, Vec<usize>) -> T) -> T {
    let columns = values.len() / rows.max(1);
    tensor_of(values, vec![rows, columns])
}

pub(crate) fn vector<T>(values: Vec<f32>, tensor_of: impl Fn(Vec<f32>, Vec<usize>) -> T) -> T {
    let count = values.len();
    tensor_of(values, vec![count])
}

/// The elements of an f32 tensor: its own memory where it is contiguous, else a copy.
#[derive(Clone)]
pub(crate) enum CpuSlice {
    #[cfg(feature = "flex")]
    Flex(FlexTensor),
    #[cfg(feature = "ndarray")]
    NdArray(SharedArray<f32>),
}

impl CpuSlice {
    /// The elements of an f32 tensor on a CPU backend, outside of automatic differentiation; `None` for any other tensor.
    pub(crate) fn of<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
        if tensor.dtype() != DType::F32 {
            return None;
        }
        match tensor.clone().into_dispatch().kind {
            #[cfg(feature = "flex")]
            DispatchTensorKind::Flex(BackendTensor::Float(tensor)) => Some(tensor.into()),
            #[cfg(feature = "ndarray")]
            DispatchTensorKind::NdArray(BackendTensor::Float(tensor)) => Some(tensor.into()),
            _ => None,
        }
    }

    pub(crate) fn slice(&self) -> &[f32] {
        match *self {
            #[cfg(feature = "flex")]
            Self::Flex(ref tensor) => tensor.as_slice().expect("checked when it was made"),
            #[cfg(feature = "ndarray")]
            Self::NdArray(ref array) => array.as_slice().expect("made contiguous"),
        }
    }

    /// Whether both are the same memory, and so will stay equal as long as both exist.
    pub(crate) fn is_same_memory(&self, other: &Self) -> bool {
        std::ptr::eq(self.slice(), other.slice())
    }
}

#[cfg(feature = "flex")]
impl From<FlexTensor> for CpuSlice {
    fn from(tensor: FlexTensor) -> Self {
        let tensor = tensor.to_contiguous();
        assert_eq!(burn::backend::TensorMetadata::dtype(&tensor), DType::F32, "supports() admits f32 only");
        Self::Flex(tensor)
    }
}

#[cfg(feature = "ndarray")]
impl From<NdArrayTensor> for CpuSlice {
    fn from(tensor: NdArrayTensor) -> Self {
        Self::NdArray(shared(tensor))
    }
}
