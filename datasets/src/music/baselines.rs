//! Baselines of music: independent frames, and Markov chains.

use super::{FRAME_NLL, Frame, FramePrediction, KEYS, Music, NOTE_ACCURACY, Piece, evaluation};
use crate::records::Split;
use crate::scores::{Evaluation, Metric};

/// Number of keys of a piano.
const KEY_COUNT: usize = (*KEYS.end() - *KEYS.start()) as usize + 1;

/// Number of symbols of a voice: a rest, and the keys.
const SYMBOLS: usize = KEY_COUNT + 1;

/// Values of the smoothing constant, of which the best one on the validation split is used.
const SMOOTHING: [f64; 6] = [0.01, 0.1, 0.3, 1.0, 3.0, 10.0];

impl Music {
    /// Evaluates baselines that treat keys independently, fitted on the training split: "key frequencies" predicts each key by its frequency,
    /// "key by key" by its frequency after frames in which it sounded, or did not.
    pub fn key_baselines(&self, split: Split) -> Vec<(&'static str, Evaluation)> {
        let keys = |frame: &Frame| {
            let mut sounds = [false; KEY_COUNT];
            frame.iter().flatten().for_each(|note| sounds[usize::from(note - KEYS.start())] = true);
            sounds
        };
        // Of each key, by whether it sounded in the frame before: the numbers of frames in which it sounds, and of all.
        let mut counts = vec![[[0.0; 2]; 2]; KEY_COUNT];
        for pair in self.train.iter().flat_map(|piece| piece.frames.windows(2)) {
            let (before, now) = (keys(&pair[0]), keys(&pair[1]));
            for key in 0..KEY_COUNT {
                let [sounding, all] = &mut counts[key][usize::from(before[key])];
                *sounding += f64::from(u8::from(now[key]));
                *all += 1.0;
            }
        }
        let evaluate = |split: Split, probability: &dyn Fn(usize, bool) -> f64| {
            let predict = |pair: &[Frame]| {
                let (before, now) = (keys(&pair[0]), keys(&pair[1]));
                let mut found = FramePrediction { is_changed: pair[0] != pair[1], ..FramePrediction::default() };
                for key in 0..KEY_COUNT {
                    let sounding = probability(key, before[key]);
                    found.nll -= if now[key] { sounding.ln() } else { (-sounding).ln_1p() };
                    found.right += usize::from(now[key] && sounding >= 0.5);
                    found.decisions += usize::from(now[key] || sounding >= 0.5);
                }
                found
            };
            predictions(self.split(split), predict, NOTE_ACCURACY)
        };
        let tuned = |probability: &dyn Fn(f64, usize, bool) -> f64| {
            let loss = |smoothing: &f64| {
                nll(&evaluate(Split::Validation, &|key, before| probability(*smoothing, key, before)))
            };
            let best = SMOOTHING.into_iter().min_by(|a, b| loss(a).total_cmp(&loss(b))).unwrap_or(1.0);
            evaluate(split, &|key, before| probability(best, key, before))
        };
        let smoothed = |smoothing: f64, [sounding, all]: [f64; 2]| (sounding + smoothing) / (all + 2.0 * smoothing);
        let sum = |key: usize| [0, 1].map(|index| counts[key][0][index] + counts[key][1][index]);
        vec![
            ("key frequencies", tuned(&|smoothing, key, _| smoothed(smoothing, sum(key)))),
            ("key by key", tuned(&|smoothing, key, before| smoothed(smoothing, counts[key][usize::from(before)]))),
        ]
    }

    /// Evaluates baselines that treat voices independently, fitted on the training split: "previous frame" gives the note before a share of
    /// the probability, and the rest to the others by their frequency in the voice; "voice by voice" is a Markov chain of each voice.
    pub fn voice_baselines(&self, split: Split) -> Vec<(&'static str, Evaluation)> {
        let voices = self.train.iter().find_map(|piece| piece.frames.first()).map_or(0, Vec::len);
        let mut chains = vec![vec![0.0; SYMBOLS * SYMBOLS]; voices];
        for pair in self.train.iter().flat_map(|piece| piece.frames.windows(2)) {
            for (voice, chain) in chains.iter_mut().enumerate() {
                chain[symbol(pair[0][voice]) * SYMBOLS + symbol(pair[1][voice])] += 1.0;
            }
        }
        let voices: Vec<Voice> = chains.into_iter().map(Voice::new).collect();
        let evaluate = |split: Split, probabilities: &dyn Fn(&Voice, usize) -> Vec<f64>| {
            let predict = |pair: &[Frame]| {
                let mut found = FramePrediction { is_changed: pair[0] != pair[1], ..FramePrediction::default() };
                for ((voice, &before), &now) in voices.iter().zip(&pair[0]).zip(&pair[1]) {
                    let probabilities = probabilities(voice, symbol(before));
                    let best = (0..SYMBOLS).max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b])).unwrap_or(0);
                    found.nll -= probabilities[symbol(now)].ln();
                    found.right += usize::from(best == symbol(now));
                    found.decisions += 1;
                }
                found
            };
            predictions(self.split(split), predict, Metric::ACCURACY)
        };
        let repeats = |voice: &Voice, before: usize| {
            let mut probabilities: Vec<f64> =
                voice.frequencies.iter().map(|share| (1.0 - voice.repeats) * share).collect();
            probabilities[before] += voice.repeats;
            probabilities
        };
        let loss =
            |smoothing: &f64| nll(&evaluate(Split::Validation, &|voice, before| voice.after(before, *smoothing)));
        let best = SMOOTHING.into_iter().min_by(|a, b| loss(a).total_cmp(&loss(b))).unwrap_or(1.0);
        vec![
            ("previous frame", evaluate(split, &repeats)),
            ("voice by voice", evaluate(split, &|voice, before| voice.after(before, best))),
        ]
    }
}

/// Index of a note among the symbols of a voice: 0 rests.
fn symbol(note: Option<u8>) -> usize {
    note.map_or(0, |note| usize::from(note - KEYS.start()) + 1)
}

fn nll(evaluation: &Evaluation) -> f64 {
    evaluation.all.get(FRAME_NLL).unwrap_or(f64::INFINITY)
}

/// Metrics of predictions of each frame after the first, given it and the one before.
fn predictions(pieces: &[Piece], predict: impl Fn(&[Frame]) -> FramePrediction, accuracy: Metric) -> Evaluation {
    let of_piece = |piece: &Piece| piece.frames.windows(2).map(&predict).collect();
    evaluation(pieces.iter().map(of_piece).collect(), accuracy)
}

/// Statistics of a voice.
struct Voice {
    /// Counts of pairs of consecutive symbols, `[SYMBOLS, SYMBOLS]`.
    pairs: Vec<f64>,
    /// Number of pairs that start with each symbol.
    starts: Vec<f64>,
    /// Relative frequency of each symbol.
    frequencies: Vec<f64>,
    /// Share of the symbols that equal the one before.
    repeats: f64,
}

impl Voice {
    fn new(pairs: Vec<f64>) -> Self {
        let starts: Vec<f64> = pairs.chunks(SYMBOLS).map(|row| row.iter().sum()).collect();
        let total: f64 = starts.iter().sum();
        let ends = |symbol: usize| pairs.iter().skip(symbol).step_by(SYMBOLS).sum::<f64>();
        let frequencies = (0..SYMBOLS).map(|symbol| (ends(symbol) + 0.1) / (total + 0.1 * SYMBOLS as f64)).collect();
        let same: f64 = (0..SYMBOLS).map(|symbol| pairs[symbol * SYMBOLS + symbol]).sum();
        // Bounded, since no prediction may be certain.
        let repeats = (same + 1.0) / (total + 2.0);
        Self { pairs, starts, frequencies, repeats }
    }

    /// Probabilities of the symbols after one, smoothed by their frequencies.
    fn after(&self, before: usize, smoothing: f64) -> Vec<f64> {
        let row = &self.pairs[before * SYMBOLS..][..SYMBOLS];
        let all = self.starts[before] + smoothing;
        row.iter().zip(&self.frequencies).map(|(count, share)| (count + smoothing * share) / all).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse_frame;
    use super::*;

    fn music(train: &str, validation: &str) -> Music {
        let piece = |text: &str| Piece { frames: text.split(' ').map(|frame| parse_frame(frame).unwrap()).collect() };
        Music { train: vec![piece(train)], validation: vec![piece(validation)], ..Music::default() }
    }

    #[test]
    fn probabilities_of_a_voice_sum_to_one() {
        let mut pairs = vec![0.0; SYMBOLS * SYMBOLS];
        (pairs[3 * SYMBOLS + 4], pairs[4 * SYMBOLS + 3], pairs[3 * SYMBOLS + 3]) = (3.0, 2.0, 1.0);
        let voice = Voice::new(pairs);
        for before in [3, 4, 9] {
            assert!((voice.after(before, 0.3).iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
        assert!((voice.frequencies.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(voice.after(3, 0.01)[4] > 0.7 && voice.repeats < 0.5);
    }

    #[test]
    fn key_frequencies_match_values_computed_by_hand() {
        // After the first frame, key 60 sounds in 3 of 4 frames; the smoothing constant that is best for the same frames is the smallest.
        let data = music("60 60 62 60 60", "60 60 62 60 60");
        let [(name, frequencies), (_, chain)] = &data.key_baselines(Split::Validation)[..] else { panic!() };
        let [of_60, of_62] = [3.01 / 4.02, 1.01 / 4.02];
        let rest = (0.01f64 / 4.02).mul_add(-1.0, 1.0).ln() * 86.0;
        let sounds = |of_60: f64, of_62: f64| -(of_60.ln() + (1.0 - of_62).ln() + rest);
        let changed = -((1.0f64 - of_60).ln() + of_62.ln() + rest);
        let expected = (3.0 * sounds(of_60, of_62) + changed) / 4.0;
        assert_eq!((*name, frequencies.all.examples), ("key frequencies", 4));
        assert!((nll(frequencies) - expected).abs() < 1e-9, "{} is not {expected}", nll(frequencies));
        assert!(nll(chain) < nll(frequencies));
        // Right notes: three; predicted or sounding ones: five.
        assert_eq!(frequencies.all.get(NOTE_ACCURACY), Some(3.0 / 5.0));
    }

    #[test]
    fn voices_are_predicted_from_their_own_past() {
        let data = music("60,48 62,48 64,48 ".repeat(20).trim_end(), "60,48 62,48 64,48 60,48");
        let [(_, repeats), (_, chain)] = &data.voice_baselines(Split::Validation)[..] else { panic!() };
        // The lower voice always repeats, the upper one never.
        assert_eq!(repeats.all.get(Metric::ACCURACY).map(|share| share >= 0.5), Some(true));
        assert_eq!(chain.all.get(Metric::ACCURACY), Some(1.0));
        assert!(nll(chain) < 0.2 && nll(repeats) > 1.0);
    }
}
