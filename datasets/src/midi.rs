//! Standard MIDI files, as frames of notes.

use std::collections::BTreeMap;

use midly::num::{u4, u7, u15, u24, u28};
use midly::{Format, Header, MetaMessage, MidiMessage, Smf, Timing, TrackEvent, TrackEventKind};

use crate::music::{Frame, KEYS};

/// Frames per quarter note: frames are sixteenths.
const FRAMES_PER_QUARTER: u32 = 4;

/// Maximum number of frames of a file: more than ten hours.
const MAX_FRAMES: u64 = 1 << 18;

/// The channel of percussion, whose notes have no pitch.
const PERCUSSION: u8 = 9;

/// Ticks per quarter note of written files.
const TICKS: u16 = 480;

/// Microseconds per quarter note of written files: 96 quarter notes per minute.
const TEMPO: u32 = 625_000;

/// Velocity of written notes.
const VELOCITY: u8 = 80;

/// A note: MIDI number, first frame, and the frame after the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Note {
    start: u64,
    end: u64,
    number: u8,
}

/// Reads the notes of a MIDI file, rounded to sixteenths.
///
/// If every track and channel has at most one note at a time, each is a voice, and the highest one on average is the first; otherwise the notes
/// of a frame are in descending order. Percussion is left out.
///
/// # Errors
/// If the file is no MIDI file, ends too early, measures time in seconds, or has a note outside of the keys of a piano.
pub fn read(bytes: &[u8]) -> Result<Vec<Frame>, String> {
    check_chunks(bytes)?;
    let file = Smf::parse(bytes).map_err(|error| format!("not a MIDI file: {error}"))?;
    let ticks = match file.header.timing {
        Timing::Metrical(ticks) if ticks.as_int() > 0 => u64::from(ticks.as_int()),
        Timing::Metrical(_) => return Err("0 ticks per quarter note; export the file again".to_owned()),
        Timing::Timecode(..) => {
            return Err("its times are seconds (SMPTE), not notes; export it with ticks per quarter note".to_owned());
        }
    };
    let mut parts: BTreeMap<(usize, u8), Vec<Note>> = BTreeMap::new();
    for (track, events) in file.tracks.iter().enumerate() {
        let mut sounding: BTreeMap<(u8, u8), u64> = BTreeMap::new();
        let mut time = 0u64;
        for event in events {
            time += u64::from(event.delta.as_int());
            let TrackEventKind::Midi { channel, message } = event.kind else { continue };
            let (number, starts) = match message {
                MidiMessage::NoteOn { key, vel } => (key.as_int(), vel.as_int() > 0),
                MidiMessage::NoteOff { key, .. } => (key.as_int(), false),
                _ => continue,
            };
            let channel = channel.as_int();
            if channel == PERCUSSION {
                continue;
            }
            if !KEYS.contains(&number) {
                let (first, last) = (KEYS.start(), KEYS.end());
                return Err(format!(
                    "note {number} of track {} is not a key of a piano ({first} to {last})",
                    track + 1
                ));
            }
            let frame = |time: u64| (2 * time * u64::from(FRAMES_PER_QUARTER) + ticks) / (2 * ticks);
            if frame(time) > MAX_FRAMES {
                return Err(format!("longer than {MAX_FRAMES} sixteenths"));
            }
            let before =
                if starts { sounding.insert((channel, number), time) } else { sounding.remove(&(channel, number)) };
            if let Some(start) = before {
                let (start, end) = (frame(start), frame(time));
                parts.entry((track, channel)).or_default().push(Note { start, end: end.max(start + 1), number });
            }
        }
        // A note without an end sounds to the end of its track.
        for ((channel, number), start) in sounding {
            let frame = |time: u64| (2 * time * u64::from(FRAMES_PER_QUARTER) + ticks) / (2 * ticks);
            let (start, end) = (frame(start), frame(time).min(MAX_FRAMES));
            parts.entry((track, channel)).or_default().push(Note { start, end: end.max(start + 1), number });
        }
    }
    Ok(frames(parts.into_values().collect()))
}

/// Checks that the chunks of a file are complete.
fn check_chunks(bytes: &[u8]) -> Result<(), String> {
    if !bytes.starts_with(b"MThd") {
        return Err("not a MIDI file: it does not begin with MThd".to_owned());
    }
    let mut rest = bytes;
    while let Some((head, body)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let name = String::from_utf8_lossy(&head[..4]);
        rest = body.get(length..).ok_or_else(|| {
            format!(
                "the file ends in a chunk {name:?} of {length} bytes, of which it has {}; copy or export it again",
                body.len()
            )
        })?;
    }
    Ok(())
}

/// The frames of the notes of several parts.
fn frames(mut parts: Vec<Vec<Note>>) -> Vec<Frame> {
    parts.iter_mut().for_each(|notes| notes.sort_unstable());
    let is_single = |notes: &Vec<Note>| notes.windows(2).all(|pair| pair[0].end <= pair[1].start);
    let mean = |notes: &Vec<Note>| notes.iter().map(|note| f64::from(note.number)).sum::<f64>() / notes.len() as f64;
    let count = parts.iter().flatten().map(|note| note.end).max().unwrap_or(0) as usize;
    if parts.iter().all(is_single) {
        parts.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
        let mut frames = vec![vec![None; parts.len()]; count];
        for (voice, notes) in parts.iter().enumerate() {
            for note in notes {
                (note.start..note.end).for_each(|frame| frames[frame as usize][voice] = Some(note.number));
            }
        }
        return frames;
    }
    let mut frames = vec![Frame::new(); count];
    for note in parts.iter().flatten() {
        (note.start..note.end).for_each(|frame| frames[frame as usize].push(Some(note.number)));
    }
    for frame in &mut frames {
        frame.sort_unstable_by(|a, b| b.cmp(a));
        frame.dedup();
        if frame.is_empty() {
            frame.push(None);
        }
    }
    frames
}

/// Writes frames as a MIDI file of 96 quarter notes per minute; consecutive equal notes are one note.
///
/// A frame is `sixteenths` sixteenth notes long. `voices`: whether a place in a frame is a voice, which has a track of its own; otherwise all
/// notes are in one track.
///
/// ```
/// use seqzoo_datasets::midi::{read, write};
/// use seqzoo_datasets::music::parse_frame;
///
/// let frames: Vec<_> = ["72,60", "72,-", "74,59"].map(|frame| parse_frame(frame).unwrap()).to_vec();
/// assert_eq!(read(&write(&frames, 1, true)).unwrap(), frames);
/// ```
pub fn write(frames: &[Frame], sixteenths: u32, voices: bool) -> Vec<u8> {
    let mut parts: Vec<Vec<Note>> = Vec::new();
    if voices {
        let count = frames.iter().map(Vec::len).max().unwrap_or(0);
        parts.extend((0..count).map(|voice| runs(frames.iter().map(|frame| frame.get(voice).copied().flatten()))));
    } else {
        let notes = |number: u8| runs(frames.iter().map(move |frame| frame.contains(&Some(number)).then_some(number)));
        parts.push(KEYS.flat_map(notes).collect());
    }
    let tempo = TrackEventKind::Meta(MetaMessage::Tempo(u24::new(TEMPO)));
    let end = |delta: u32| TrackEvent { delta: u28::new(delta), kind: TrackEventKind::Meta(MetaMessage::EndOfTrack) };
    let mut tracks = vec![vec![TrackEvent { delta: u28::new(0), kind: tempo }, end(0)]];
    let ticks = u64::from(u32::from(TICKS) / FRAMES_PER_QUARTER * sixteenths);
    for (voice, notes) in parts.iter().enumerate() {
        // Ends before starts, so that a repeated note sounds again.
        let events = notes.iter().flat_map(|note| [(note.end, false, note.number), (note.start, true, note.number)]);
        let mut events: Vec<(u64, bool, u8)> = events.collect();
        events.sort_unstable();
        let channel = u4::new((voice % usize::from(PERCUSSION)) as u8);
        let (mut track, mut before) = (Vec::new(), 0);
        for (frame, starts, number) in events {
            let (key, vel) = (u7::new(number), u7::new(VELOCITY));
            let message = if starts { MidiMessage::NoteOn { key, vel } } else { MidiMessage::NoteOff { key, vel } };
            let delta = u28::new(((frame - before) * ticks) as u32);
            before = frame;
            track.push(TrackEvent { delta, kind: TrackEventKind::Midi { channel, message } });
        }
        track.push(end(((frames.len() as u64 - before) * ticks) as u32));
        tracks.push(track);
    }
    let header = Header { format: Format::Parallel, timing: Timing::Metrical(u15::new(TICKS)) };
    let mut bytes = Vec::new();
    Smf { header, tracks }.write_std(&mut bytes).expect("memory can be written to");
    bytes
}

/// The notes of a voice, from its note in each frame.
fn runs(notes: impl Iterator<Item = Option<u8>>) -> Vec<Note> {
    let mut found: Vec<Note> = Vec::new();
    for (frame, note) in (0u64..).zip(notes) {
        let Some(number) = note else { continue };
        match found.last_mut() {
            Some(last) if last.end == frame && last.number == number => last.end += 1,
            _ => found.push(Note { start: frame, end: frame + 1, number }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::music::{frame_text, parse_frame};
    use proptest::prelude::*;

    fn text(frames: &[Frame]) -> String {
        frames.iter().map(|frame| frame_text(frame)).collect::<Vec<_>>().join(" ")
    }

    fn parsed(text: &str) -> Vec<Frame> {
        text.split(' ').map(|frame| parse_frame(frame).unwrap()).collect()
    }

    /// A file with one track of these events, each with its delta time in ticks.
    fn file(ticks: u16, events: &[(u32, [u8; 3])]) -> Vec<u8> {
        let mut track: Vec<u8> = Vec::new();
        for (delta, message) in events {
            assert!(*delta < 1 << 14);
            if *delta >= 128 {
                track.push(0x80 | (delta >> 7) as u8);
            }
            track.push((delta & 127) as u8);
            track.extend(message);
        }
        track.extend([0, 0xff, 0x2f, 0]);
        let mut bytes = b"MThd\0\0\0\x06\0\0\0\x01".to_vec();
        bytes.extend(ticks.to_be_bytes());
        bytes.extend(b"MTrk");
        bytes.extend((track.len() as u32).to_be_bytes());
        bytes.extend(track);
        bytes
    }

    const ON: u8 = 0x90;
    const OFF: u8 = 0x80;

    #[test]
    fn notes_are_rounded_to_sixteenths_whatever_the_division() {
        for ticks in [1u16, 4, 7, 96, 480, 1000] {
            let quarter = u32::from(ticks);
            let events = [(0, [ON, 60, 64]), (quarter, [OFF, 60, 0]), (0, [ON, 64, 64]), (quarter, [ON, 64, 0])];
            assert_eq!(text(&read(&file(ticks, &events)).unwrap()), "60 60 60 60 64 64 64 64", "{ticks}");
        }
        // A grace note keeps one frame; a chord is sorted; a note without an end lasts to the end of the track.
        let events =
            [(0, [ON, 60, 64]), (1, [OFF, 60, 0]), (479, [ON, 62, 64]), (0, [ON, 67, 64]), (240, [OFF, 62, 0])];
        assert_eq!(text(&read(&file(480, &events)).unwrap()), "60 - - - 67,62 67,62");
    }

    #[test]
    fn damaged_files_are_errors_that_say_what_to_do() {
        let good = file(480, &[(0, [ON, 60, 64]), (480, [OFF, 60, 0])]);
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good.clone();
            change(&mut bytes);
            read(&bytes).unwrap_err()
        };
        for (error, part) in [
            (with(&|bytes| bytes.truncate(bytes.len() - 3)), "the file ends in a chunk \"MTrk\" of"),
            (with(&|bytes| bytes[0] = b'X'), "does not begin with MThd"),
            (with(&|bytes| bytes.truncate(12)), "the file ends in a chunk \"MThd\""),
            (with(&|bytes| bytes[12..14].copy_from_slice(&[0, 0])), "0 ticks per quarter note"),
            (with(&|bytes| bytes[12..14].copy_from_slice(&[0xe8, 4])), "its times are seconds (SMPTE)"),
            (with(&|bytes| bytes[24] = 5), "note 5 of track 1 is not a key of a piano"),
            (with(&Vec::clear), "does not begin with MThd"),
        ] {
            assert!(error.contains(part), "{error}");
        }
        // No bytes panic.
        for length in 0..good.len() {
            let _ = read(&good[..length]);
            let mut bytes = good.clone();
            bytes[length] ^= 0xff;
            let _ = read(&bytes);
        }
        let endless: Vec<(u32, [u8; 3])> = (0..200).map(|_| (16_000, [ON, 60, 64])).collect();
        assert!(read(&file(1, &endless)).unwrap_err().contains("longer than"));
    }

    #[test]
    fn keys_are_written_to_one_track() {
        let frames = parsed("72,60 72 74,60 -");
        assert_eq!(text(&read(&write(&frames, 1, false)).unwrap()), "72,60 72 74,60");
        // A frame per quarter note is four sixteenths.
        assert_eq!(text(&read(&write(&parsed("60 62"), 4, true)).unwrap()), "60 60 60 60 62 62 62 62");
    }

    proptest! {
        #[test]
        fn voices_are_read_as_they_were_written(
            rows in prop::collection::vec(prop::collection::vec(prop::option::of(0..6u8), 3), 1..40),
        ) {
            // Voices whose ranges do not overlap and that all sound keep their order; the last frame has a note.
            let mut frames: Vec<Frame> = rows.iter()
                .map(|row| row.iter().zip([80, 60, 40]).map(|(note, low)| note.map(|note| low + note)).collect())
                .collect();
            frames.push(vec![Some(80), Some(60), Some(40)]);
            prop_assert_eq!(read(&write(&frames, 1, true)).unwrap(), frames);
        }
    }
}
