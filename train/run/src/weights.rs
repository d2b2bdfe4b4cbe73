//! Weights as safetensors files.

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use seqzoo_models::parameters::{Array, Arrays};

/// Error of reading a safetensors file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {
    /// Not a safetensors file.
    #[error("not a safetensors file: {0}")]
    Malformed(String),
    /// A tensor is not of type f32.
    #[error("tensor {0} is not of type F32")]
    NotF32(String),
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
pub fn from_safetensors(bytes: &[u8]) -> Result<Arrays, WeightsError> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| WeightsError::Malformed(error.to_string()))?;
    let mut arrays = Arrays::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(WeightsError::NotF32(name.to_owned()));
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
}
