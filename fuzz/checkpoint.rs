// Loads arbitrary bytes as a checkpoint: loading must succeed or return an error, never panic. Compiled into the fuzz target and into a
// test of seqzoo-run, so that it cannot become outdated.

use std::cell::RefCell;
use std::fs;

use seqzoo_models::parameters::{Array, Arrays};
use seqzoo_run::checkpoint::{self, Checkpoints};
use seqzoo_run::disk::RealDisk;
use seqzoo_run::progress::{Metadata, Progress, Snapshot};
use seqzoo_run::settings::Settings;
use seqzoo_run::weights;
use seqzoo_tasks::Files;

/// The files of an intact checkpoint.
fn intact() -> Files {
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
    static FOLDER: RefCell<(tempfile::TempDir, Files)> = {
        let shared = std::path::Path::new("/dev/shm");
        let dir = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
        RefCell::new((dir.unwrap(), intact()))
    };
}

/// Reads a checkpoint with one changed file. The first byte selects the file; the manifest is written to match, or is itself the changed
/// file. The other bytes are its contents or, if the highest bit of the first byte is set, edits of an intact file: a position (two bytes)
/// and a value.
pub fn read(bytes: &[u8]) {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let _ = weights::from_safetensors(bytes);
    FOLDER.with_borrow(|(dir, intact)| {
        let checkpoints = Checkpoints::new(dir.path());
        let _ = fs::remove_dir_all(checkpoints.path(1));
        let names: Vec<&String> = intact.keys().collect();
        let selected = usize::from(choice & 0x7f) % (names.len() + 1);
        let change = |mut file: Vec<u8>| {
            if choice & 0x80 == 0 {
                return bytes.to_vec();
            }
            for edit in bytes.chunks_exact(3) {
                let position = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % file.len().max(1);
                file[position] = edit[2];
            }
            file
        };
        let mut files = intact.clone();
        if let Some(name) = names.get(selected) {
            files.insert((*name).clone(), change(intact[*name].clone()));
        }
        let path = checkpoints.save(1, &files, &RealDisk).unwrap();
        if selected == names.len() {
            let manifest = path.join("manifest");
            fs::write(&manifest, change(fs::read(&manifest).unwrap())).unwrap();
        }
        if let Ok(opened) = checkpoint::open(&path)
            && let Ok(snapshot) = Snapshot::of(&opened)
        {
            let _ = (snapshot.not_finite(), snapshot.spec(&opened).is_ok());
        }
    });
}
