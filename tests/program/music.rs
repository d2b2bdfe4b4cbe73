//! Models of music, as a user runs them.

use std::fs;

use serde_json::Value;

use crate::TestDir;

const SMALL: [&str; 8] = [
    "--epochs",
    "4",
    "--set",
    "network.hidden_sizes=[12]",
    "--set",
    "task.voice_size=8",
    "--set",
    "training.batch_size=4",
];

/// Pieces of two voices: scales from different notes, over a voice that alternates.
fn pieces(count: usize) -> String {
    let frame = |start: usize, step: usize| format!("[{},{}]", 60 + (start + step / 2) % 12, 48 - (step / 4) % 2);
    let piece = |start: usize| format!("[{}]", (0..24).map(|step| frame(start, step)).collect::<Vec<_>>().join(","));
    format!("{{\"all\":[{}]}}", (0..count).map(piece).collect::<Vec<_>>().join(","))
}

fn trained(settings: &[&str]) -> TestDir {
    let place = TestDir::new();
    fs::write(place.path("scales.json"), pieces(30)).unwrap();
    let train = ["train", "music", "--data", "scales.json", "--set", "task.voices=2", "--out", "run"];
    let trained = place.ok(&[&train, &SMALL[..], settings].concat());
    assert!(trained.err.contains("train 27 pieces, validation 3 pieces"), "{}", trained.err);
    for part in ["nll-per-frame, frame: changed", "seqzoo generate run --midi music.mid"] {
        assert!(trained.out.contains(part), "no {part} in {}", trained.out);
    }
    place
}

fn frames(text: &str) -> Vec<Vec<Option<u8>>> {
    let note = |note: &str| note.parse().ok();
    text.lines().map(|line| line.split(',').map(note).collect()).collect()
}

/// The notes of the tracks of a MIDI file with a program that does not know ours: number, start and end in ticks.
fn notes(bytes: &[u8]) -> Vec<Vec<(u8, u32, u32)>> {
    let mut tracks = Vec::new();
    let mut rest = &bytes[14..];
    while !rest.is_empty() {
        assert_eq!(&rest[..4], b"MTrk");
        let length = u32::from_be_bytes(rest[4..8].try_into().unwrap()) as usize;
        let (mut events, mut time, mut found) = (&rest[8..8 + length], 0, Vec::<(u8, u32, u32)>::new());
        let mut status = 0;
        while !events.is_empty() {
            let mut delta = 0;
            loop {
                let byte = events[0];
                events = &events[1..];
                delta = delta << 7 | u32::from(byte & 127);
                if byte < 128 {
                    break;
                }
            }
            time += delta;
            if events[0] == 0xff {
                events = &events[3 + usize::from(events[2])..];
                continue;
            }
            if events[0] >= 128 {
                status = events[0];
                events = &events[1..];
            }
            let (number, velocity) = (events[0], events[1]);
            events = &events[2..];
            match (status & 0xf0, velocity) {
                (0x90, 1..) => found.push((number, time, u32::MAX)),
                _ => found.iter_mut().rfind(|note| note.0 == number && note.2 == u32::MAX).unwrap().2 = time,
            }
        }
        tracks.push(found);
        rest = &rest[8 + length..];
    }
    tracks
}

/// The notes that frames of 120 ticks stand for, of each voice.
fn expected(frames: &[Vec<Option<u8>>], voice: usize) -> Vec<(u8, u32, u32)> {
    let mut found: Vec<(u8, u32, u32)> = Vec::new();
    for (step, frame) in (0u32..).zip(frames) {
        match (frame[voice], found.last_mut()) {
            (Some(number), Some(last)) if last.0 == number && last.2 == step * 120 => last.2 += 120,
            (Some(number), _) => found.push((number, step * 120, step * 120 + 120)),
            (None, _) => {}
        }
    }
    found
}

#[test]
fn music_of_voices_is_learned_sampled_written_and_continued() {
    let place = trained(&["--set", "task.cycle=8", "--set", "task.transpose=3"]);
    let report = &place.json(&["evaluate", "run", "--json"])["models"]["lstm"];
    assert_eq!(report["examples"], 3 * 23, "all frames but the first of each piece");
    let generate = |more: &[&str]| place.ok(&[&["generate", "run"], more].concat()).out;
    let sample = generate(&["-n", "40", "--seed", "3"]);
    assert_eq!(generate(&["-n", "40", "--seed", "3"]), sample, "the same seed generates the same music");
    assert_eq!(frames(&sample).len(), 40);
    generate(&["-n", "40", "--seed", "3", "--midi", "out.mid"]);
    let written = notes(&fs::read(place.path("out.mid")).unwrap());
    assert_eq!(written.len(), 3, "a track of the tempo, and one for each voice");
    for voice in 0..2 {
        assert_eq!(written[voice + 1], expected(&frames(&sample), voice));
    }
    // A piece that is continued comes first.
    let continued = generate(&["--continue", "out.mid", "-n", "5", "--json", "--temperature", "0"]);
    let continued: Value = serde_json::from_str(&continued).unwrap();
    let start = continued["start"].as_u64().unwrap() as usize;
    let all = continued["frames"].as_array().unwrap();
    assert_eq!(
        (all.len(), &all[..start]),
        (start + 5, &serde_json::to_value(&frames(&sample)[..start]).unwrap().as_array().unwrap()[..])
    );
    // What is generated can be trained on.
    generate(&["-n", "30", "--samples", "12", "--midi", "own.mid"]);
    fs::create_dir(place.path("own")).unwrap();
    for number in 1..=12 {
        let name = format!("own-{number}.mid");
        fs::rename(place.path(&name), place.path(&format!("own/{name}"))).unwrap();
    }
    // A file without notes does not end reading of the others.
    fs::write(place.path("own/silent.mid"), b"MThd\0\0\0\x06\0\0\0\x01\x01\xe0MTrk\0\0\0\x04\0\xff\x2f\0").unwrap();
    let again = ["train", "music", "--data", "own", "--set", "task.voices=2", "--out", "again"];
    let again = place.ok(&[&again, &SMALL[..]].concat());
    assert!(again.err.contains("1 file without text or notes was skipped; first: "), "{}", again.err);
    assert!(again.err.contains("own/silent.mid") && again.err.contains("validation 1 piece"), "{}", again.err);
}

#[test]
fn music_of_keys_is_learned_and_written_to_one_track() {
    let place = trained(&["--set", "task.frame=\"keys\"", "--set", "task.every=2"]);
    let report = &place.json(&["evaluate", "run", "--json"])["models"]["lstm"];
    assert!(report["note-accuracy"].as_f64().unwrap() >= 0.0 && report["examples"] == 3 * 11, "{report}");
    let refused = place.run(&["generate", "run", "-n", "20", "--top-p", "0.9"]);
    assert!(refused.code == Some(2) && refused.err.contains("--top-p is for the notes of a voice"), "{}", refused.err);
    let sample = place.ok(&["generate", "run", "-n", "20", "--temperature", "0.8"]).out;
    place.ok(&["generate", "run", "-n", "20", "--temperature", "0.8", "--midi", "keys.mid"]);
    let written = notes(&fs::read(place.path("keys.mid")).unwrap());
    let sounding = |number: u8| frames(&sample).iter().filter(|frame| frame.contains(&Some(number))).count() as u32;
    assert_eq!(written.len(), 2);
    for number in 21..=108 {
        let ticks: u32 = written[1].iter().filter(|note| note.0 == number).map(|note| note.2 - note.1).sum();
        assert_eq!(ticks, 240 * sounding(number), "key {number}");
    }
}

#[test]
fn damaged_files_and_flags_that_do_not_apply_are_refused() {
    let place = trained(&[]);
    place.ok(&["generate", "run", "-n", "16", "--midi", "good.mid"]);
    let good = fs::read(place.path("good.mid")).unwrap();
    let seconds = [&good[..12], &[0xe8, 0x28][..], &good[14..]].concat();
    for (name, bytes) in [("cut.mid", &good[..good.len() - 9]), ("seconds.mid", &seconds), ("text.mid", b"la la la")] {
        fs::write(place.path(name), bytes).unwrap();
    }
    for (arguments, code, part) in [
        (&["generate", "run", "--continue", "cut.mid"][..], 4, "cut.mid: the file ends in a chunk \"MTrk\""),
        (&["generate", "run", "--continue", "none.mid"], 4, "none.mid: "),
        (&["train", "music", "--data", "cut.mid"], 4, "cut.mid: the file ends in a chunk \"MTrk\""),
        (&["train", "music", "--data", "seconds.mid"], 4, "seconds.mid: its times are seconds (SMPTE)"),
        (&["train", "music", "--data", "text.mid"], 4, "text.mid: not a MIDI file"),
        (&["generate", "run", "--midi", "out.wav"], 2, "expected a file name that ends in .mid"),
        (&["generate", "run", "--prompt", "la"], 2, "--prompt needs a language model, but this is a model of music"),
        (&["train", "music", "--data", "scales.json", "--set", "models=[\"bilstm\"]"], 3, "would see the frames"),
    ] {
        let refused = place.run(arguments);
        assert!(
            refused.code == Some(code) && refused.err.contains(part),
            "{arguments:?}: {:?} {}",
            refused.code,
            refused.err
        );
    }
}
