# Shortcuts for cargo commands; `cargo test --release` alone runs all tests.

# All tests
test:
    cargo test --release

# Train the main example; its dataset is built in
demo:
    cargo run --release -- train agreement

# Fault injection on the real program, full version: about 6 minutes; the last line is JSON
torture:
    SEQZOO_TORTURE=full cargo test --release --test torture

# Fuzz the checkpoint reader for 20 minutes; needs `cargo install cargo-fuzz` and a nightly toolchain
fuzz:
    cargo +nightly fuzz run checkpoint -- -max_total_time=1200

# All checks that a change must pass
ci:
    .ci/run
