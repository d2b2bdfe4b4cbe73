# Short names for plain cargo; `cargo test --release` alone suffices.

# All tests
test:
    cargo test --release

# The main job, data built in
demo:
    cargo run --release -- train agreement

# Everything that must hold before a change lands
ci:
    .ci/run
