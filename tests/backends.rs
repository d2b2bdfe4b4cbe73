//! Every linked-in backend trains alike and loads the checkpoints of the others.

use std::fs;
use std::path::Path;
use std::process::Command;

use seqzoo::run::{Backend, devices};
use serde_json::Value;

fn run(dir: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seqzoo"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SEQZOO_")) {
        command.env_remove(name);
    }
    let done = command.args(arguments).current_dir(dir).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// Losses of the first updates on a backend, in a run folder of its name.
fn first_losses(dir: &Path, backend: &str) -> Vec<f64> {
    let small = ["--set", "models=[\"lstm\"]", "--set", "training.batch_size=16", "--max-steps", "4"];
    run(dir, &[&["train", "agreement", "--backend", backend, "--out", backend][..], &small].concat());
    let metrics = fs::read_to_string(dir.join(backend).join("lstm/metrics.jsonl")).unwrap();
    let loss = |line: &str| serde_json::from_str::<Value>(line).unwrap()["loss"].as_f64().unwrap();
    metrics.lines().map(loss).collect()
}

fn probability(dir: &Path, run_name: &str, backend: &str) -> f64 {
    let prediction = run(dir, &["predict", run_name, "--backend", backend, "the keys to the cabinet", "--json"]);
    serde_json::from_str::<Value>(&prediction).unwrap()["probabilities"]["are"].as_f64().unwrap()
}

#[test]
fn every_backend_trains_alike_and_its_checkpoints_load_on_flex() {
    let dir = tempfile::tempdir().unwrap();
    let flex = first_losses(dir.path(), "flex");
    assert_eq!(flex.len(), 4);
    for (backend, _) in devices() {
        let name = backend.name();
        if backend != Backend::Flex {
            let losses = first_losses(dir.path(), name);
            let close = losses.iter().zip(&flex).all(|(a, b)| (a - b).abs() <= 1e-4);
            assert!(close && losses.len() == flex.len(), "{name} {losses:?}, flex {flex:?}");
        }
        let [there, here] = [name, "flex"].map(|reader| probability(dir.path(), name, reader));
        assert!((there - here).abs() <= 1e-4, "{name} predicts {there}, flex {here} from its checkpoint");
    }
}

#[test]
fn the_default_backend_is_linked_and_has_a_device() {
    let best = Backend::best().unwrap();
    assert!(best.is_linked());
    assert!(best.device().is_ok());
}
