//! A short run of the fuzz target, so that it compiles and holds without a nightly toolchain.

use proptest::prelude::*;

#[path = "../../../fuzz/checkpoint.rs"]
mod checkpoint;

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        checkpoint::read(&bytes);
    }
}
