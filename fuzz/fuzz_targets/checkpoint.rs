//! Any bytes as the files of a checkpoint: read or refused, never a panic.
//!
//! The first byte chooses which file they are, the others being sound; the manifest is made to fit, or is itself the bytes.
//! With its highest bit set they are instead changes to that file, each a place (two bytes) and a value.
//! `cargo +nightly fuzz run checkpoint -- -max_total_time=1200`

#![no_main]

use std::cell::RefCell;
use std::fs;

use libfuzzer_sys::fuzz_target;
use seqzoo_run::checkpoint::{self, Checkpoints, Files};
use seqzoo_run::disk::RealDisk;
use seqzoo_run::parameters::{self, Array, Arrays};
use seqzoo_run::progress::{Metadata, Progress, Snapshot};
use seqzoo_run::settings::Settings;

fn sound() -> Files {
    let array = Array { shape: vec![2, 3], values: vec![0.5; 6] };
    let arrays = Arrays::from([("output.weight".to_owned(), array)]);
    let snapshot = Snapshot {
        about: Metadata::now(Settings::read("agreement").unwrap(), "lstm", "digest"),
        progress: Progress::start(),
        weights: arrays.clone(),
        optimizer: arrays.clone(),
        recurrent_state: arrays.clone(),
        accumulated: arrays,
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
        let which = usize::from(choice & 0x7f) % (names.len() + 1);
        let change = |mut file: Vec<u8>| {
            if choice & 0x80 == 0 {
                return bytes.to_vec();
            }
            for edit in bytes.chunks_exact(3) {
                let place = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % file.len().max(1);
                file[place] = edit[2];
            }
            file
        };
        let mut files = sound.clone();
        if let Some(name) = names.get(which) {
            files.insert((*name).clone(), change(sound[*name].clone()));
        }
        let path = checkpoints.save(1, &files, &RealDisk).unwrap();
        if which == names.len() {
            let manifest = path.join("manifest");
            fs::write(&manifest, change(fs::read(&manifest).unwrap())).unwrap();
        }
        if let Ok(opened) = checkpoint::open(&path) {
            if let Ok(snapshot) = Snapshot::of(&opened) {
                let _ = (snapshot.not_finite(), snapshot.spec(&opened).is_ok());
            }
        }
    });
});
