//! Crash-safety tests of the program: kills at any time, in saves and in resumes, with and without non-finite values;
//! an abort at every fault point; every byte of a checkpoint flipped; malicious checkpoints; permanent faults.
//!
//! `cargo test` runs a small version, `SEQZOO_TORTURE=full cargo test --release --test torture` (`just torture`) the full
//! one. The clock only chooses when to kill; no result depends on it. The last line is one JSON object.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Instant;

use peak_alloc::PeakAlloc;
use seqzoo::run::checkpoint::FORMAT;
use seqzoo::run::checkpoint::{self, Checkpoints, Files};
use seqzoo::run::disk::RealDisk;
use seqzoo::run::faults::POINTS;
use seqzoo::run::progress::Snapshot;
use serde_json::{Map, Value, json};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// A small stateful language model with TBPTT, dropout and frequent checkpoints.
const RECIPE: &str = r#"
summary = "a small language model to be killed"
models = ["lstm"]
[data]
dataset = "sentences"
[task]
kind = "language-model"
level = "characters"
embedding_size = 4
k1 = 9
k2 = 12
[network]
hidden_sizes = [6, 5]
[dropout]
layers = 0.2
output = 0.1
[training]
seed = 3
epochs = 2
batch_size = 20
learning_rate = 1e-2
[checkpoints]
every_steps = 4
every_seconds = 0
[stopping]
metric = "loss"
"#;

/// Four consecutive batches whose loss is always NaN: three are skipped, the fourth causes a rollback.
const ROLLBACK: &str = "loss=nan@11+,loss=nan@12+,loss=nan@13+,loss=nan@14+";

/// Injected faults under which a run still succeeds.
const PLANS: [&str; 4] = ["", "loss=nan@7", "gradient=inf@3+", ROLLBACK];

struct Torture {
    dir: tempfile::TempDir,
    next: u64,
    histogram: BTreeMap<String, u64>,
}

/// Exit code and messages of a child process.
struct Ended {
    code: Option<i32>,
    err: String,
}

impl Torture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("small.toml"), RECIPE).unwrap();
        let line = |number: usize| format!("{} times {number} is {}, they say.\n", number % 7, number * (number % 7));
        fs::write(dir.path().join("text.txt"), (0..220).map(line).collect::<String>()).unwrap();
        Self { dir, next: 0, histogram: BTreeMap::new() }
    }

    fn name(&mut self) -> String {
        self.next += 1;
        format!("run-{}", self.next)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, name: &str, faults: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seqzoo"));
        for (variable, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SEQZOO_")) {
            command.env_remove(variable);
        }
        // A folder without env.json is not a run yet.
        let path = self.path(name);
        let begun = path.join("env.json").is_file();
        if !begun && path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        let how = if begun { ["--resume", name] } else { ["--out", name] };
        command.args(["train", "small.toml", "--text", "text.txt"]).args(how).current_dir(self.dir.path());
        command.env("SEQZOO_FAULTS", faults).env("SEQZOO_FAULTS_TRACE", self.path("trace"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn run(&self, name: &str, faults: &str) -> Ended {
        let output = self.command(name, faults).output().unwrap();
        Ended { code: output.status.code(), err: String::from_utf8_lossy(&output.stderr).into_owned() }
    }

    fn to_the_end(&self, name: &str, faults: &str) {
        let ended = self.run(name, faults);
        assert_eq!(ended.code, Some(0), "{name} under {faults}: {}", ended.err);
    }

    fn checkpoints(&self, name: &str) -> Checkpoints {
        Checkpoints::new(self.path(name).join("lstm/checkpoints"))
    }

    /// Files that must not depend on interruptions.
    fn outcome(&self, name: &str) -> Files {
        let mut files = self.checkpoints(name).latest().unwrap().0.files;
        files.insert("metrics.jsonl".to_owned(), fs::read(self.path(name).join("lstm/metrics.jsonl")).unwrap());
        files
    }

    fn whole(&mut self, faults: &str) -> (Files, f64) {
        let name = self.name();
        let started = Instant::now();
        self.to_the_end(&name, faults);
        (self.outcome(&name), started.elapsed().as_secs_f64())
    }

    /// Kills a run after a share of the time of a complete one, resumes it and compares the outcomes.
    fn kill_at(&mut self, share: f64, seconds: f64, faults: &str, whole: &Files) -> bool {
        let name = self.name();
        let _ = fs::remove_file(self.path("trace"));
        let mut child = self.command(&name, faults).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_secs_f64(share * seconds));
        child.kill().unwrap();
        child.wait().unwrap();
        let trace = fs::read_to_string(self.path("trace")).unwrap_or_else(|_| "- before the first point".to_owned());
        let (batch, point) = trace.trim().split_once(' ').unwrap_or(("-", "before the first point"));
        let tens = batch.parse().map_or_else(|_| "-".to_owned(), |batch: u64| format!("{:02}", batch / 10 * 10));
        *self.histogram.entry(format!("batch {tens}: {point}")).or_default() += 1;
        self.finish(&name, faults, whole)
    }

    /// Kills a run that hangs at a fault point, resumes it and compares the outcomes; `None` if it is not reached.
    fn kill_in(&mut self, name: &str, point: &str, time: u64, faults: &str, whole: &Files) -> Option<bool> {
        let mut child = self.command(name, &format!("{faults},{point}=hang@{time}")).spawn().unwrap();
        if !hangs(&mut child) {
            return None;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        *self.histogram.entry(format!("at {point}")).or_default() += 1;
        Some(self.finish(name, faults, whole))
    }

    fn finish(&self, name: &str, faults: &str, whole: &Files) -> bool {
        self.to_the_end(name, faults);
        let same = self.outcome(name) == *whole;
        if same {
            fs::remove_dir_all(self.path(name)).unwrap();
        } else {
            println!("{name} differs under `{faults}`: kept in {}", self.path(name).display());
        }
        same
    }
}

/// Waits for a child to report that it hangs; `false` if it ends instead.
fn hangs(child: &mut Child) -> bool {
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let found = lines.map_while(Result::ok).any(|line| line.starts_with("hanging at"));
    if !found {
        child.wait().unwrap();
    }
    found
}

/// Numbers of tried and passed cases.
#[derive(Default)]
struct Count {
    tried: u64,
    passed: u64,
}

impl Count {
    fn add(&mut self, passed: bool) {
        self.tried += 1;
        self.passed += u64::from(passed);
    }

    fn json(&self, passed: &str) -> Value {
        json!({"tried": self.tried, passed: self.passed})
    }
}

fn kills(torture: &mut Torture, [uniform, saves, resumes]: [u64; 3]) -> Count {
    let (whole, seconds) = torture.whole("");
    let mut count = Count::default();
    for kill in 0..uniform {
        count.add(torture.kill_at((kill as f64 + 0.5) / uniform as f64, seconds, "", &whole));
    }
    let points = ["save-begin", "save-write", "save-manifest", "save-commit", "save-committed", "prune-remove"];
    for kill in 0..saves {
        let (point, time) = (points[(kill % 6) as usize], 1 + kill / 6);
        let name = torture.name();
        // If there are fewer saves: the last one.
        let hit = (1..=time).rev().find_map(|time| torture.kill_in(&name, point, time, "", &whole));
        count.add(hit.unwrap());
    }
    for kill in 0..resumes {
        let name = torture.name();
        torture.command(&name, "").args(["--max-steps", &(3 + kill).to_string()]).status().unwrap();
        // Before the checkpoint is loaded, or at one of its files.
        let (point, time) = if kill % 4 == 0 { ("rollback-load", 1) } else { ("load-read", 1 + kill / 4) };
        count.add(torture.kill_in(&name, point, time, "", &whole).unwrap());
    }
    count
}

/// Kills of runs with injected non-finite values.
fn kills_with_faults(torture: &mut Torture, kills: u64) -> Count {
    let mut count = Count::default();
    let plans = &PLANS[1..];
    for (index, plan) in (0..).zip(plans) {
        let (whole, seconds) = torture.whole(plan);
        let share = (kills + plans.len() as u64 - 1 - index) / plans.len() as u64;
        for kill in 0..share {
            count.add(torture.kill_at((kill as f64 + 0.5) / share as f64, seconds, plan, &whole));
        }
    }
    count
}

/// An abort at each fault point, at each time that a run with a rollback reaches it, up to `most` times.
fn aborts(torture: &mut Torture, most: u64) -> (Count, Vec<&'static str>) {
    let (whole, _) = torture.whole(ROLLBACK);
    let (mut count, mut reached) = (Count::default(), Vec::new());
    for point in POINTS {
        for time in 1..=most {
            let name = torture.name();
            let ended = torture.run(&name, &format!("{ROLLBACK},{point}=abort@{time}"));
            if ended.code == Some(0) {
                break;
            }
            assert_eq!(ended.code, None, "ended by a signal: {}", ended.err);
            count.add(torture.finish(&name, ROLLBACK, &whole));
            reached.push(point);
        }
    }
    reached.dedup();
    (count, POINTS.into_iter().filter(|point| !reached.contains(point)).collect())
}

/// Flips a bit in every `stride`-th byte of each file of the latest checkpoint: it must be detected and the older
/// checkpoint used.
fn flips(torture: &mut Torture, stride: usize) -> Count {
    let name = torture.name();
    torture.command(&name, "").args(["--max-steps", "6"]).status().unwrap();
    let checkpoints = torture.checkpoints(&name);
    let listed = checkpoints.list().unwrap();
    let [.., (older, _), (_, latest)] = listed.as_slice() else { panic!("two checkpoints: {listed:?}") };
    let mut count = Count::default();
    let mut bit = 0;
    for entry in fs::read_dir(latest).unwrap() {
        let path = entry.unwrap().path();
        let good = fs::read(&path).unwrap();
        for position in (0..good.len()).step_by(stride) {
            let mut bad = good.clone();
            bad[position] ^= 1 << (bit % 8);
            bit += 1;
            fs::write(&path, &bad).unwrap();
            let used = checkpoints.latest().map(|(opened, skipped)| (opened.step, skipped.len()));
            count.add(used.is_ok_and(|used| used == (*older, 1)));
        }
        fs::write(&path, good).unwrap();
    }
    count
}

/// Writes a malicious checkpoint, including its manifest.
fn save_raw(dir: &Path, files: &Files) -> PathBuf {
    let path = dir.join("step-00000001");
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    for (name, bytes) in files {
        fs::write(path.join(name), bytes).unwrap();
    }
    path
}

/// Damaged and malicious checkpoints must be rejected with a typed error and little memory.
fn hostile(torture: &mut Torture) -> (Count, Count) {
    let name = torture.name();
    torture.command(&name, "").args(["--max-steps", "4"]).status().unwrap();
    let sound = torture.checkpoints(&name).latest().unwrap().0.files;
    let dir = torture.path("hostile");
    let mut cases: Vec<(String, Files, bool)> = Vec::new();
    // Files with a valid manifest and invalid contents.
    let mut inside = |name: &str, file: &str, bytes: Vec<u8>| {
        cases.push((
            format!("{file}: {name}"),
            sound.iter().map(|(n, b)| (n.clone(), b.clone())).chain([(file.to_owned(), bytes)]).collect(),
            true,
        ));
    };
    let weights = "weights.safetensors";
    let header = |text: &str, data: &[u8]| [&(text.len() as u64).to_le_bytes(), text.as_bytes(), data].concat();
    let tensor = |dtype: &str, shape: &str, from: u64, to: u64| {
        format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}}}"#)
    };
    let deep = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    for file in [weights, "optimizer.safetensors", "recurrent_state.safetensors"] {
        inside("empty", file, Vec::new());
        inside("half", file, sound[file][..sound[file].len() / 2].to_vec());
        inside("a header of 2⁶³ bytes", file, [&(1u64 << 63).to_le_bytes(), &sound[file][8..]].concat());
        inside(
            "a header longer than the file",
            file,
            [&(sound[file].len() as u64).to_le_bytes(), &sound[file][8..]].concat(),
        );
        inside("no JSON", file, header("{{{{", &[0; 8]));
        inside("offsets beyond the end", file, header(&tensor("F32", "[100]", 0, 400), &[0; 8]));
        inside("offsets that turn back", file, header(&tensor("F32", "[2]", 8, 0), &[0; 8]));
        inside("a shape that overflows", file, header(&tensor("F32", "[4294967296,4294967296,16]", 0, 8), &[0; 8]));
        inside("another type", file, header(&tensor("F64", "[1]", 0, 8), &[0; 8]));
        let two = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
        inside("overlapping offsets", file, header(two, &[0; 12]));
    }
    inside("a NaN", weights, header(&tensor("F32", "[2]", 0, 8), &[f32::NAN.to_le_bytes(), [0; 4]].concat()));
    for file in ["progress.json", "about.json"] {
        inside("empty", file, Vec::new());
        inside("deep", file, deep(100_000));
        inside("of another kind", file, b"[1, 2, 3]".to_vec());
        inside("cut", file, sound[file][..sound[file].len() - 9].to_vec());
        inside("not UTF-8", file, vec![0xff; 64]);
    }
    inside("a number too large", "progress.json", br#"{"step": 99999999999999999999999}"#.to_vec());
    let about = String::from_utf8(sound["about.json"].clone()).unwrap();
    let other_format = about.replacen(&format!("\"format\": {FORMAT}"), "\"format\": 99", 1);
    assert_ne!(other_format, about);
    inside("another format", "about.json", other_format.into_bytes());
    // Valid files with an invalid manifest.
    let mut outside = |name: &str, manifest: Vec<u8>| {
        let mut files = sound.clone();
        files.insert("manifest".to_owned(), manifest);
        cases.push((format!("manifest: {name}"), files, false));
    };
    let line = |name: &str| format!("{}  {name}\n", "0".repeat(64)).into_bytes();
    outside("empty", Vec::new());
    outside("up the tree", line("../../env.json"));
    outside("an absolute path", line("/etc/passwd"));
    outside("a backslash", line("..\\secret"));
    outside("a hidden name", line(".hidden"));
    outside("no digest", b"weights.safetensors\n".to_vec());
    outside("not UTF-8", vec![0xff; 100]);
    outside("a million lines", line("weights.safetensors").repeat(100_000));
    let (mut refused, mut frugal) = (Count::default(), Count::default());
    for (name, files, has_manifest) in cases {
        let path = match has_manifest {
            true => {
                let _ = fs::remove_dir_all(&dir);
                Checkpoints::new(&dir).save(1, &files, &RealDisk).unwrap()
            }
            false => save_raw(&dir, &files),
        };
        let size: usize =
            fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len() as usize).sum();
        drop(files);
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let read = checkpoint::open(&path).and_then(|opened| Snapshot::of(&opened));
        let peak = MEMORY.peak_usage() - before;
        let is_refused = read.map_or(true, |snapshot| snapshot.not_finite().is_some());
        if !is_refused {
            println!("not rejected: {name}");
        }
        refused.add(is_refused);
        if peak > 2 * size + (16 << 20) {
            println!("{name}: {peak} bytes of memory for files of {size}");
        }
        frugal.add(peak <= 2 * size + (16 << 20));
    }
    (refused, frugal)
}

/// Permanent faults must end within the retry budget, each with its exit code and a diagnosis.
fn bad_for_good(torture: &mut Torture) -> Count {
    let mut count = Count::default();
    let mut check = |name: &str, ended: &Ended, code: i32, part: &str| {
        let passed = ended.code == Some(code) && ended.err.contains(part) && !ended.err.contains("panicked");
        if !passed {
            println!("{name}: exit code {:?}\n{}", ended.code, ended.err);
        }
        count.add(passed);
    };
    let name = torture.name();
    check("batch", &torture.run(&name, "loss=nan@*"), 4, "invalid data: the loss is NaN in batch");
    let name = torture.name();
    let output = torture.command(&name, "").args(["--set", "training.learning_rate=1e6"]).output().unwrap();
    let ended = Ended { code: output.status.code(), err: String::from_utf8_lossy(&output.stderr).into_owned() };
    check("recipe", &ended, 6, "training diverged");
    let name = torture.name();
    torture.command(&name, "").args(["--max-steps", "6"]).status().unwrap();
    for (_, path) in torture.checkpoints(&name).list().unwrap() {
        fs::write(path.join("progress.json"), "{}").unwrap();
    }
    check("checkpoint", &torture.run(&name, ""), 8, "no usable checkpoint in");
    let name = torture.name();
    check("machine", &torture.run(&name, "loss=nan@3,gradient=inf@6"), 9, "the machine is not deterministic");
    count
}

/// A run is locked while a process trains it, and unlocked once that process is killed.
fn lock(torture: &mut Torture) -> Count {
    let mut count = Count::default();
    let name = torture.name();
    let mut owner = torture.command(&name, "save-begin=hang@2").spawn().unwrap();
    assert!(hangs(&mut owner));
    let second = torture.run(&name, "");
    count.add(second.code == Some(10) && second.err.contains("is locked"));
    owner.kill().unwrap();
    owner.wait().unwrap();
    count.add(torture.run(&name, "").code == Some(0));
    count
}

fn main() -> ExitCode {
    let full = std::env::var("SEQZOO_TORTURE").is_ok_and(|size| size == "full");
    let mut torture = Torture::new();
    let started = Instant::now();
    let mut results = Map::new();
    let mut sound = true;
    let mut report = |name: &str, count: Count, passed: &str| {
        println!("{name}: {} of {} after {:.0} s", count.passed, count.tried, started.elapsed().as_secs_f64());
        sound &= count.passed == count.tried && count.tried > 0;
        results.insert(name.to_owned(), count.json(passed));
    };
    report("kill", kills(&mut torture, if full { [100, 80, 20] } else { [4, 6, 2] }), "identical");
    report("kill_with_faults", kills_with_faults(&mut torture, if full { 50 } else { 3 }), "identical");
    let (aborted, never) = aborts(&mut torture, if full { 30 } else { 1 });
    report("abort_at_point", aborted, "identical");
    report("flipped_byte", flips(&mut torture, if full { 1 } else { 211 }), "older_used");
    let (refused, frugal) = hostile(&mut torture);
    report("hostile_checkpoint", refused, "refused");
    report("hostile_checkpoint_memory", frugal, "within");
    report("bad_for_good", bad_for_good(&mut torture), "diagnosed");
    report("lock", lock(&mut torture), "held_and_freed");
    results.insert("points_never_reached".to_owned(), json!(never));
    results.insert("kills_hit".to_owned(), json!(torture.histogram));
    results.insert("size".to_owned(), json!(if full { "full" } else { "small" }));
    println!("{}", Value::Object(results));
    if sound && never.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
