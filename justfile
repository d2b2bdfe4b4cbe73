# Short names for plain cargo; `cargo test --release` alone suffices.

# All tests
test:
    cargo test --release

# The main job, data built in
demo:
    cargo run --release -- train agreement

# What a run survives, in full: about 6 minutes; the last line is JSON
torture:
    SEQZOO_TORTURE=full cargo test --release --test torture

# Any bytes as a checkpoint's files, for 20 minutes; needs `cargo install cargo-fuzz` and a nightly toolchain
fuzz:
    cargo +nightly fuzz run checkpoint -- -max_total_time=1200

# Everything that must hold before a change lands
ci:
    .ci/run
