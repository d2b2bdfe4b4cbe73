//! Music: frames, or MIDI files.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use seqzoo_datasets::midi;
use seqzoo_datasets::music::{Frame, frame_text};
use seqzoo_inference::Model;
use seqzoo_kernels::pooled;
use seqzoo_tasks::music::{Codec, FrameKind};
use serde_json::json;

use super::{ChoiceArgs, Kind, SamplingArgs};
use crate::failure::{DATA, Failure, STORAGE, USAGE};
use crate::say::say;

/// Models of music.
pub(super) const KIND: Kind =
    Kind { models: "a model of music", flags: &["--midi", "--continue", "--tokens", "--top-k", "--top-p", "--min-p"] };

/// Flags of models of music.
#[derive(Debug, Args)]
pub(super) struct MusicArgs {
    /// Write the music to a MIDI file instead of printing it; of several samples, each to a file with its number before the suffix.
    #[arg(long, value_name = "FILE.mid", value_parser = midi_file)]
    midi: Option<PathBuf>,
    /// Continue the piece in a MIDI file, which is rounded to the frames of the model.
    #[arg(long = "continue", value_name = "FILE.mid")]
    piece: Option<PathBuf>,
}

fn midi_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let is_midi = path.extension().is_some_and(|suffix| ["mid", "midi"].iter().any(|known| suffix == *known));
    if is_midi { Ok(path) } else { Err("expected a file name that ends in .mid".to_owned()) }
}

impl MusicArgs {
    pub(super) fn given(&self) -> [(&'static str, bool); 2] {
        [("--midi", self.midi.is_some()), ("--continue", self.piece.is_some())]
    }

    /// Prints or writes samples.
    pub(super) fn generate(
        &self,
        model: &Model,
        codec: &Codec,
        sampling: &SamplingArgs,
        choice: &ChoiceArgs,
    ) -> Result<(), Failure> {
        check_choice(codec, choice)?;
        let temperature = sampling.one_temperature()?;
        let start = self.piece.as_deref().map_or(Ok(Vec::new()), |path| start(path, codec))?;
        let seeds: Vec<u64> = sampling.seeds(1).collect();
        let mut out = io::stdout().lock();
        for (number, &seed) in seeds.iter().enumerate() {
            let compose = || -> Result<Vec<Frame>, Failure> {
                let generated = model.compose(&start, choice.sampling(temperature, seed))?;
                Ok(start.iter().cloned().chain(generated.take(choice.tokens())).collect())
            };
            let frames = pooled(compose)?;
            if let Some(path) = &self.midi {
                let path = if seeds.len() > 1 { numbered(path, number + 1) } else { path.clone() };
                std::fs::write(&path, codec.midi(&frames))
                    .map_err(|error| Failure::new(STORAGE, format!("--midi {}: {error}", path.display())))?;
                say(format_args!("wrote {}", path.display()));
            }
            if sampling.json {
                writeln!(out, "{}", json!({"frames": frames, "start": start.len(), "seed": seed}))?;
            } else if self.midi.is_none() {
                if number > 0 {
                    writeln!(out)?;
                }
                frames.iter().try_for_each(|frame| writeln!(out, "{}", frame_text(frame)))?;
            }
        }
        Ok(())
    }
}

/// Refuses flags of a choice among notes for models whose keys are independent of each other.
fn check_choice(codec: &Codec, choice: &ChoiceArgs) -> Result<(), Failure> {
    let of_notes = |(flag, is_given): &(&str, bool)| *is_given && *flag != "--tokens";
    match choice.given().into_iter().find(of_notes) {
        Some((flag, _)) if codec.frame == FrameKind::Keys => Err(Failure::new(
            USAGE,
            format!(
                "{flag} is for the notes of a voice, but this model (task.frame = \"keys\") decides for each key by itself whether it \
                 sounds; use --temperature"
            ),
        )),
        _ => Ok(()),
    }
}

/// The frames of a MIDI file, as the model reads them.
fn start(path: &Path, codec: &Codec) -> Result<Vec<Frame>, Failure> {
    let failed = |detail: String| Failure::new(DATA, format!("--continue {}: {detail}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let frames = codec.frames(midi::read(&bytes).map_err(failed)?);
    if frames.is_empty() { Err(failed("no notes, other than percussion".to_owned())) } else { Ok(frames) }
}

/// A path with a number before its suffix, as in `chorale-2.mid`.
fn numbered(path: &Path, number: usize) -> PathBuf {
    let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    path.with_file_name(format!("{}-{number}.{}", part(path.file_stem()), part(path.extension())))
}
