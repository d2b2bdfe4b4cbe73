//! Standard MIDI files: one piece per file.

use std::io::Read;

use super::{Format, Request, Together};
use crate::DataError;
use crate::midi;
use crate::music::frame_text;
use crate::records::{Column, Records};

/// The format.
pub(super) static FORMAT: Format = Format {
    name: "midi",
    summary: "Standard MIDI files: one piece per file, rounded to sixteenth notes; each track and channel is a voice if it has one note at a time, and keeps the longest of several notes in a sixteenth",
    columns: "notes: frames of simultaneous notes",
    options: &[],
    suffixes: &["mid", "midi"],
    together: Together::File,
    roles: &[],
    sample: &[],
    is_first_line: |_| false,
    read,
};

fn read(request: &Request) -> Result<Records, DataError> {
    let file = request.input.name();
    let mut bytes = Vec::new();
    request.input.bytes()?.read_to_end(&mut bytes).map_err(|error| DataError::damaged(file, error))?;
    let frames = midi::read(&bytes).map_err(|detail| DataError::invalid(file, detail))?;
    if frames.is_empty() {
        return Err(DataError::empty(file, "no notes, other than percussion"));
    }
    let frames: Vec<String> = frames.iter().map(|frame| frame_text(frame)).collect();
    Ok(Records::of_file(file, [("notes", Column::Lists(vec![frames]))], [1]))
}
