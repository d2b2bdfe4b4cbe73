//! Standard MIDI files, as frames of notes.

use std::collections::BTreeMap;
use std::ops::Range;

use midly::num::{u4, u7, u15, u24, u28};
use midly::{EventIter, Format, Header, MetaMessage, MidiMessage, Smf, Timing, TrackEvent, TrackEventKind};

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

/// A note: MIDI number, first time, and the time after the last; in ticks where it is read, in frames where it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Note {
    start: u64,
    end: u64,
    number: u8,
}

/// The frames of times in ticks.
struct Grid {
    /// Ticks per quarter note.
    ticks: u64,
}

impl Grid {
    /// The nearest frame.
    fn frame(&self, time: u64) -> u64 {
        (2 * time * u64::from(FRAMES_PER_QUARTER) + self.ticks) / (2 * self.ticks)
    }

    /// The frames of a note, at least one.
    fn frames(&self, note: &Note) -> Range<u64> {
        let start = self.frame(note.start);
        start..self.frame(note.end).min(MAX_FRAMES).max(start + 1)
    }

    /// How long a note sounds in a frame.
    fn overlap(&self, note: &Note, frame: u64) -> u64 {
        let [start, end] = [note.start, note.end].map(|time| time * u64::from(FRAMES_PER_QUARTER));
        end.min((frame + 1) * self.ticks).saturating_sub(start.max(frame * self.ticks))
    }
}

/// Reads the notes of a MIDI file, rounded to sixteenths.
///
/// If every track and channel has at most one note at a time, each is a voice, and the highest one on average is the first; otherwise the notes
/// of a frame are in descending order. Of several notes of a voice in a frame, that which sounds longest in it is kept; of equal ones, the
/// first. Percussion is left out. The tracks of a file of type 2 are played one after another. Bytes after the last track are ignored.
///
/// # Errors
/// If the file is no MIDI file, ends too early, is damaged, measures time in seconds, or has a note outside of the keys of a piano.
pub fn read(bytes: &[u8]) -> Result<Vec<Frame>, String> {
    let chunks = chunks(bytes)?;
    let (is_sequential, grid) = header(&chunks)?;
    let mut parts: BTreeMap<(usize, u8), Vec<Note>> = BTreeMap::new();
    let mut start = 0;
    for (index, chunk) in chunks.iter().filter(|chunk| chunk.is_track()).enumerate() {
        let part = if is_sequential { 0 } else { index };
        let add = |channel: u8, note: Note| parts.entry((part, channel)).or_default().push(note);
        let end = read_track(chunk, index + 1, start, &grid, add)?;
        start = if is_sequential { end } else { 0 };
    }
    Ok(frames(parts.into_values().collect(), &grid))
}

/// A chunk of a file.
struct Chunk<'a> {
    name: [u8; 4],
    /// Index of its first byte in the file.
    offset: usize,
    data: &'a [u8],
}

impl Chunk<'_> {
    fn is_track(&self) -> bool {
        self.name == *b"MTrk"
    }

    /// The number at an index of a header.
    fn number(&self, index: usize) -> Option<u16> {
        self.data.chunks_exact(2).nth(index).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }
}

/// The chunks of a file, the header first.
fn chunks(bytes: &[u8]) -> Result<Vec<Chunk<'_>>, String> {
    if !bytes.starts_with(b"MThd") {
        return Err("not a MIDI file: it does not begin with MThd".to_owned());
    }
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut rest = bytes;
    while let Some((&[a, b, c, d, length @ ..], body)) = rest.split_first_chunk::<8>() {
        let (name, length) = ([a, b, c, d], u32::from_be_bytes(length) as usize);
        let Some((data, next)) = body.split_at_checked(length) else {
            if name != *b"MTrk" && has_all_tracks(&chunks) {
                break;
            }
            return Err(format!(
                "the file ends in a chunk {:?} of {length} bytes, of which it has {}; copy or export it again",
                String::from_utf8_lossy(&name),
                body.len()
            ));
        };
        chunks.push(Chunk { name, offset: bytes.len() - body.len(), data });
        rest = next;
    }
    match rest.is_empty() || has_all_tracks(&chunks) {
        true => Ok(chunks),
        false => Err("the file ends before its last track; copy or export it again".to_owned()),
    }
}

/// Whether there are as many tracks as the header says.
fn has_all_tracks(chunks: &[Chunk]) -> bool {
    let tracks = chunks.iter().filter(|chunk| chunk.is_track()).count();
    chunks.first().and_then(|header| header.number(1)).is_some_and(|count| tracks >= usize::from(count))
}

/// Whether the tracks are played one after another, and the unit of times.
fn header(chunks: &[Chunk]) -> Result<(bool, Grid), String> {
    let number = |index: usize| chunks.first().and_then(|header| header.number(index));
    let (Some(kind), Some(division)) = (number(0), number(2)) else {
        return Err("its header has fewer than 6 bytes; copy or export the file again".to_owned());
    };
    match (kind, division) {
        (3.., _) => {
            Err(format!("its header has type {kind}, but MIDI files have type 0, 1 or 2; export the file again"))
        }
        (_, 0) => Err("0 ticks per quarter note; export the file again".to_owned()),
        (_, 0x8000..) => {
            Err("its times are seconds (SMPTE), not notes; export it with ticks per quarter note".to_owned())
        }
        (_, ticks) => Ok((kind == 2, Grid { ticks: ticks.into() })),
    }
}

/// Passes the notes of a track and their channels to `add`; returns the time of its end. `start` is the time of its begin.
fn read_track(
    chunk: &Chunk,
    track: usize,
    start: u64,
    grid: &Grid,
    mut add: impl FnMut(u8, Note),
) -> Result<u64, String> {
    let mut sounding: BTreeMap<(u8, u8), u64> = BTreeMap::new();
    let mut time = start;
    let mut events = EventIter::new(chunk.data);
    let damaged = |unread: usize| {
        let byte = chunk.offset + chunk.data.len() - unread;
        format!(
            "track {track} is damaged at byte {byte}: no MIDI event, or one that is cut off; copy or export it again"
        )
    };
    while let Some(event) = next_event(&mut events).map_err(damaged)? {
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
            return Err(format!("note {number} of track {track} is not a key of a piano ({first} to {last})"));
        }
        if grid.frame(time) > MAX_FRAMES {
            return Err(format!("longer than {MAX_FRAMES} sixteenths"));
        }
        let before =
            if starts { sounding.insert((channel, number), time) } else { sounding.remove(&(channel, number)) };
        if let Some(start) = before {
            add(channel, Note { start, end: time, number });
        }
    }
    // A note without an end sounds to the end of its track.
    for ((channel, number), start) in sounding {
        add(channel, Note { start, end: time, number });
    }
    Ok(time)
}

/// The next event of a track; `None` at its end. If it is damaged, the number of bytes from its begin, as an error: the iterator would end
/// there without one.
fn next_event<'a>(events: &mut EventIter<'a>) -> Result<Option<TrackEvent<'a>>, usize> {
    let (rest, status) = (events.unread(), events.running_status());
    if rest.is_empty() {
        return Ok(None);
    }
    // A time has at most four bytes, of which the last one is below 128.
    let has_time = rest.iter().take(4).any(|&byte| byte < 0x80);
    let Some(Ok(event)) = events.next().filter(|_| has_time) else { return Err(rest.len()) };
    match event.kind {
        TrackEventKind::Midi { .. } => {}
        TrackEventKind::Meta(MetaMessage::EndOfTrack) => *events = EventIter::new(&[]),
        // Data that are longer than the track are cut off.
        _ if events.unread().is_empty() => return Err(rest.len()),
        // The standard ends running status here, but many programs do not.
        TrackEventKind::Meta(_) => *events.running_status_mut() = status,
        _ => {}
    }
    Ok(Some(event))
}

/// The frames of the notes of several parts.
fn frames(mut parts: Vec<Vec<Note>>, grid: &Grid) -> Vec<Frame> {
    parts.iter_mut().for_each(|notes| notes.sort_unstable());
    let follows = |note: &Note, before: &Note| {
        let is_after = before.start < note.start && before.end <= note.start;
        is_after || grid.frames(before).end <= grid.frames(note).start
    };
    let is_single = |notes: &Vec<Note>| notes.windows(2).all(|pair| follows(&pair[1], &pair[0]));
    let mean = |notes: &Vec<Note>| notes.iter().map(|note| f64::from(note.number)).sum::<f64>() / notes.len() as f64;
    let count = parts.iter().flatten().map(|note| grid.frames(note).end).max().unwrap_or(0) as usize;
    if parts.iter().all(is_single) {
        parts.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
        let voices: Vec<Vec<Option<u8>>> = parts.iter().map(|notes| voice(notes, count, grid)).collect();
        return (0..count).map(|frame| voices.iter().map(|voice| voice[frame]).collect()).collect();
    }
    let mut frames = vec![Frame::new(); count];
    for note in parts.iter().flatten() {
        grid.frames(note).for_each(|frame| frames[frame as usize].push(Some(note.number)));
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

/// The note of each of `count` frames: that which sounds longest in it, or the first of equal ones.
fn voice(notes: &[Note], count: usize, grid: &Grid) -> Vec<Option<u8>> {
    let mut longest: Vec<Option<(u64, u8)>> = vec![None; count];
    for note in notes {
        for frame in grid.frames(note) {
            let (overlap, kept) = (grid.overlap(note, frame), &mut longest[frame as usize]);
            if kept.is_none_or(|(before, _)| overlap > before) {
                *kept = Some((overlap, note.number));
            }
        }
    }
    longest.into_iter().map(|kept| kept.map(|(_, number)| number)).collect()
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
        of_tracks(0, ticks, &[track(events)])
    }

    /// The bytes of a track of these events.
    fn track(events: &[(u32, [u8; 3])]) -> Vec<u8> {
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
        track
    }

    /// A file of this type with these tracks.
    fn of_tracks(kind: u16, ticks: u16, tracks: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = b"MThd\0\0\0\x06".to_vec();
        [kind, tracks.len() as u16, ticks].iter().for_each(|number| bytes.extend(number.to_be_bytes()));
        for track in tracks {
            bytes.extend(b"MTrk");
            bytes.extend((track.len() as u32).to_be_bytes());
            bytes.extend(track);
        }
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
            (with(&|bytes| bytes.truncate(18)), "the file ends before its last track"),
            (with(&|bytes| bytes[12..14].copy_from_slice(&[0, 0])), "0 ticks per quarter note"),
            (with(&|bytes| bytes[12..14].copy_from_slice(&[0xe8, 4])), "its times are seconds (SMPTE)"),
            (with(&|bytes| bytes[24] = 5), "note 5 of track 1 is not a key of a piano"),
            (with(&|bytes| bytes[9] = 3), "its header has type 3, but MIDI files have type 0, 1 or 2"),
            (with(&|bytes| *bytes = b"MThd\0\0\0\x02\0\0".to_vec()), "its header has fewer than 6 bytes"),
            (with(&|bytes| bytes[24] = 200), "track 1 is damaged at byte 22: no MIDI event"),
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
    fn a_damaged_event_is_an_error_wherever_it_is() {
        let note = |track: &mut Vec<u8>| track.extend([0, ON, 60, 64, 120, OFF, 60, 0]);
        let with = |damage: &[u8]| {
            let mut track = Vec::new();
            note(&mut track);
            track.extend(damage);
            note(&mut track);
            track.extend([0, 0xff, 0x2f, 0]);
            read(&of_tracks(0, 480, &[track]))
        };
        assert_eq!(text(&with(&[]).unwrap()), "60 60");
        // A key with a status bit, a status that no file has, a time of five bytes, data that are longer than the track.
        for damage in
            [&[0, ON, 200, 64][..], &[0, 0xf8], &[255, 255, 255, 255, 127, ON, 60, 64], &[0, 0xf0, 0x8f, 0x7f]]
        {
            assert!(with(damage).unwrap_err().contains("track 1 is damaged at byte 30"), "{damage:?}");
        }
    }

    #[test]
    fn running_status_lasts_over_meta_events_and_bytes_after_the_last_track_are_ignored() {
        let track = [0, ON, 60, 64, 120, 0xff, 0x51, 3, 7, 161, 32, 0, 60, 0, 0, 62, 64, 120, 62, 0, 0, 0xff, 0x2f, 0];
        let mut bytes = of_tracks(0, 480, &[track.to_vec()]);
        assert_eq!(text(&read(&bytes).unwrap()), "60 62");
        bytes.extend(b"\0\x01garbage");
        assert_eq!(text(&read(&bytes).unwrap()), "60 62");
    }

    #[test]
    fn tracks_of_type_2_are_played_one_after_another() {
        let part = |number: u8| track(&[(0, [ON, number, 64]), (240, [OFF, number, 0])]);
        let parts = [part(60), part(72)];
        assert_eq!(text(&read(&of_tracks(2, 480, &parts)).unwrap()), "60 60 72 72");
        assert_eq!(text(&read(&of_tracks(1, 480, &parts)).unwrap()), "72,60 72,60");
    }

    #[test]
    fn a_voice_has_one_note_per_frame_however_short_its_notes() {
        let note = |number: u8| [(0, [ON, number, 64]), (60, [OFF, number, 0])];
        let line: Vec<(u32, [u8; 3])> = (60..66).flat_map(note).collect();
        // Of two thirty-seconds, that which begins with the sixteenth.
        assert_eq!(text(&read(&file(480, &line)).unwrap()), "60 62 64 65");
        // A grace note gives way to the note that follows it.
        let grace = [(0, [ON, 60, 64]), (10, [OFF, 60, 0]), (0, [ON, 62, 64]), (230, [OFF, 62, 0])];
        assert_eq!(text(&read(&file(480, &grace)).unwrap()), "62 62");
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
