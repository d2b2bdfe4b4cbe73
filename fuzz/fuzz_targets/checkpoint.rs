//! Any bytes as the files of a checkpoint: read or refused, never a panic.
//!
//! The first byte chooses which file they are, the others being sound; the manifest is made to fit, or is itself the bytes.
//! `cargo +nightly fuzz run checkpoint -- -max_total_time=1200`

#![no_main]

use std::cell::RefCell;
use std::fs;

use libfuzzer_sys::fuzz_target;
use seqzoo_run::checkpoint::{self, Checkpoints, Files};
use seqzoo_run::disk::RealDisk;
use seqzoo_run::parameters::{self, Array, Arrays};
use seqzoo_run::progress::{About, Progress, Snapshot};
use seqzoo_run::settings::Settings;

fn sound() -> Files {
    let array = Array { shape: vec![2, 3], values: vec![0.5; 6] };
    let arrays = Arrays::from([("output.weight".to_owned(), array)]);
    let snapshot = Snapshot {
        about: About::now(Settings::read("agreement").unwrap(), "lstm", "digest"),
        progress: Progress::start(),
        weights: arrays.clone(),
        optimizer: arrays.clone(),
        carried: arrays.clone(),
        waiting: arrays,
        task: Files::new(),
    };
    snapshot.to_files()
}

thread_local! {
    static PLACE: RefCell<(tempfile::TempDir, Files)> = {
        let shared = std::path::Path::new("/dev/shm");
        let dir = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
        RefCell::new((dir.unwrap(), sound()))
    };
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let _ = parameters::from_safetensors(bytes);
    PLACE.with_borrow(|(dir, sound)| {
        let checkpoints = Checkpoints::new(dir.path());
        let _ = fs::remove_dir_all(checkpoints.path(1));
        let names: Vec<&String> = sound.keys().collect();
        let name = names[usize::from(choice) % (names.len() + 1) % names.len()].clone();
        let is_manifest = usize::from(choice) % (names.len() + 1) == names.len();
        let mut files = sound.clone();
        if !is_manifest {
            files.insert(name, bytes.to_vec());
        }
        let path = checkpoints.save(1, &files, &RealDisk).unwrap();
        if is_manifest {
            fs::write(path.join("manifest"), bytes).unwrap();
        }
        if let Ok(opened) = checkpoint::open(&path) {
            if let Ok(snapshot) = Snapshot::of(&opened) {
                let _ = (snapshot.not_finite(), snapshot.recipe(&opened).is_ok());
            }
        }
    });
});
