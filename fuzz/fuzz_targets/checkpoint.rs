//! Loads arbitrary bytes as a checkpoint: `cargo +nightly fuzz run checkpoint -- -max_total_time=1200`

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checkpoint.rs"]
mod checkpoint;

fuzz_target!(|bytes: &[u8]| checkpoint::read(bytes));
