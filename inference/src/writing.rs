//! A language model that writes on: which token comes next, drawn from its scores.

use seqzoo_random::{Key, Purpose, RngExt};
use seqzoo_run::tasks::language_model::{TextModel, TextReader};

/// How the next token is chosen.
///
/// ```text
/// p = softmax(scores / temperature), of the top_k most probable, of the smallest set of these whose mass reaches top_p
/// ```
///
/// Temperature 0 always takes the most probable. Top-k: Fan et al., "Hierarchical neural story generation", ACL 2018; top-p:
/// Holtzman et al., "The curious case of neural text degeneration", ICLR 2020.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Below 1 the probable becomes more so, above 1 less; from 0.
    pub temperature: f64,
    /// Tokens that are drawn from at most; 0: all.
    pub top_k: usize,
    /// Mass of the tokens that are drawn from, in (0, 1].
    pub top_p: f64,
    /// From which all draws follow.
    pub seed: u64,
}

/// A text as it is being written: an endless iterator over pieces of it.
#[derive(Debug)]
pub struct Writing<'a> {
    model: &'a TextModel,
    reader: TextReader<'a>,
    sampling: Sampling,
    scores: Vec<f32>,
    before: Option<String>,
    written: u64,
}

impl<'a> Writing<'a> {
    /// Goes on from tokens that were read before; `is_separated` says whether white space stands behind them already.
    pub(crate) fn after(model: &'a TextModel, prompt: &[u32], is_separated: bool, sampling: Sampling) -> Self {
        let mut reader = model.reader();
        let mut scores = Vec::new();
        for &token in prompt {
            reader.read(token, &mut scores);
        }
        let last = prompt.last().filter(|_| !is_separated);
        let before = last.and_then(|&token| model.codec().vocabulary.token(token)).map(str::to_owned);
        Self { model, reader, sampling, scores, before, written: 0 }
    }
}

impl Iterator for Writing<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let draw = Key::new(self.sampling.seed, Purpose::Writing).at(self.written).stream().random::<f64>();
        let known = |place: usize| self.model.codec().vocabulary.token(place as u32).is_some();
        let number = choose(&self.scores, known, self.sampling, draw)?;
        self.written += 1;
        self.reader.read(number as u32, &mut self.scores);
        let codec = self.model.codec();
        let token = codec.vocabulary.token(number as u32)?;
        Some(codec.level.write(self.before.replace(token.to_owned()).as_deref(), token))
    }
}

/// The place of the score that a draw in [0, 1) falls on; `None` if no score is a number.
fn choose(scores: &[f32], known: impl Fn(usize) -> bool, sampling: Sampling, draw: f64) -> Option<usize> {
    let Sampling { temperature, top_k, top_p, .. } = sampling;
    let mut places: Vec<usize> = (0..scores.len()).filter(|&place| known(place) && !scores[place].is_nan()).collect();
    // Ties go to the lower number, so that the order is one and the same everywhere.
    places.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    let &most = places.first()?;
    if temperature == 0.0 {
        return Some(most);
    }
    if top_k > 0 {
        places.truncate(top_k);
    }
    let weight = |place: usize| ((f64::from(scores[place]) - f64::from(scores[most])) / temperature).exp();
    let total: f64 = places.iter().map(|&place| weight(place)).sum();
    let mut mass = 0.0;
    let reached = places.iter().position(|&place| {
        mass += weight(place);
        mass >= top_p * total
    });
    places.truncate(reached.map_or(places.len(), |last| last + 1));
    let mut left = draw * places.iter().map(|&place| weight(place)).sum::<f64>();
    let fallen = places.iter().find(|&&place| {
        left -= weight(place);
        left < 0.0
    });
    fallen.or(places.last()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORES: [f32; 5] = [9.0, 0.0, 2.0, 1.0, 2.0];

    fn drawn(temperature: f64, top_k: usize, top_p: f64, draw: f64) -> usize {
        let sampling = Sampling { temperature, top_k, top_p, seed: 0 };
        choose(&SCORES, |place| place > 0, sampling, draw).unwrap()
    }

    #[test]
    fn draws_fall_on_tokens_by_their_mass() {
        // Without the first, which stands for no token: e², e², e¹, e⁰ in this order.
        let total = 2.0 * 2f64.exp() + 1f64.exp() + 1.0;
        let at = |mass: f64| drawn(1.0, 0, 1.0, mass / total);
        assert_eq!([0.0, 7.3, 7.5, 14.7, 14.9, 17.4, 17.6].map(at), [2, 2, 4, 4, 3, 3, 1]);
        assert_eq!(drawn(1.0, 0, 1.0, 0.999_999_999), 1);
    }

    #[test]
    fn few_tokens_are_drawn_from_if_so_asked() {
        for draw in [0.0, 0.4, 0.6, 0.99] {
            assert_eq!(drawn(0.0, 0, 1.0, draw), 2, "temperature 0 takes the first of the most probable");
            assert_eq!(drawn(5.0, 1, 1.0, draw), 2);
            assert!([2, 4].contains(&drawn(1.0, 2, 1.0, draw)));
            // Half of the mass needs two tokens, a little needs one.
            assert!([2, 4].contains(&drawn(1.0, 0, 0.5, draw)));
            assert_eq!(drawn(1.0, 0, 0.1, draw), 2);
            assert_eq!(drawn(1e-3, 0, 1.0, draw), if draw < 0.5 { 2 } else { 4 });
        }
        let nothing =
            choose(&[f32::NAN; 3], |_| true, Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, seed: 0 }, 0.5);
        assert_eq!(nothing, None);
    }
}
