//! Text generation: sampling the next token from a language model's scores.

use seqzoo_random::{Key, Purpose, RngExt};
use seqzoo_tasks::language_model::{LanguageModelStream, TextModel};

/// Sampling parameters.
///
/// ```text
/// p = softmax(scores / temperature), of the top_k most probable, of the smallest set of these whose mass reaches top_p
/// ```
///
/// Temperature 0 always picks the most probable token (greedy decoding). Top-k: Fan et al., "Hierarchical neural story
/// generation", ACL 2018; top-p: Holtzman et al., "The curious case of neural text degeneration", ICLR 2020.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Sampling temperature, at least 0; values below 1 sharpen the distribution, values above 1 flatten it.
    pub temperature: f64,
    /// Number of most probable tokens to sample from; 0: all.
    pub top_k: usize,
    /// Total probability of the tokens to sample from, in (0, 1].
    pub top_p: f64,
    /// Random seed.
    pub seed: u64,
}

/// Generated text: an endless iterator over tokens as text, each with the separator before it.
#[derive(Debug)]
pub struct GeneratedText<'a> {
    model: &'a TextModel,
    stream: LanguageModelStream<'a>,
    sampling: Sampling,
    scores: Vec<f32>,
    previous: Option<String>,
    generated: u64,
}

impl<'a> GeneratedText<'a> {
    /// Starts after the prompt's tokens; `is_separated`: the prompt ends in white space.
    pub(crate) fn after(model: &'a TextModel, prompt: &[u32], is_separated: bool, sampling: Sampling) -> Self {
        let mut stream = model.stream();
        let mut scores = Vec::new();
        for &token in prompt {
            stream.step(token, &mut scores);
        }
        let last = prompt.last().filter(|_| !is_separated);
        let previous = last.and_then(|&token| model.codec().vocabulary.token(token)).map(str::to_owned);
        Self { model, stream, sampling, scores, previous, generated: 0 }
    }
}

impl Iterator for GeneratedText<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let draw =
            Key::new(self.sampling.seed, Purpose::Generation).with_first(self.generated).stream().random::<f64>();
        let known = |id: usize| self.model.codec().vocabulary.token(id as u32).is_some();
        let id = choose(&self.scores, known, self.sampling, draw)?;
        self.generated += 1;
        self.stream.step(id as u32, &mut self.scores);
        let codec = self.model.codec();
        let token = codec.vocabulary.token(id as u32)?;
        Some(codec.level.detokenize(self.previous.replace(token.to_owned()).as_deref(), token))
    }
}

/// Samples a token id, given a uniform draw in [0, 1); `None` if every score is NaN.
fn choose(scores: &[f32], known: impl Fn(usize) -> bool, sampling: Sampling, draw: f64) -> Option<usize> {
    let Sampling { temperature, top_k, top_p, .. } = sampling;
    let mut ids: Vec<usize> = (0..scores.len()).filter(|&id| known(id) && !scores[id].is_nan()).collect();
    // Ties go to the lower id, so that the order is deterministic.
    ids.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    let &best = ids.first()?;
    if temperature == 0.0 {
        return Some(best);
    }
    if top_k > 0 {
        ids.truncate(top_k);
    }
    let weight = |id: usize| ((f64::from(scores[id]) - f64::from(scores[best])) / temperature).exp();
    let total: f64 = ids.iter().map(|&id| weight(id)).sum();
    let mut mass = 0.0;
    let reached = ids.iter().position(|&id| {
        mass += weight(id);
        mass >= top_p * total
    });
    ids.truncate(reached.map_or(ids.len(), |last| last + 1));
    let mut left = draw * ids.iter().map(|&id| weight(id)).sum::<f64>();
    let sampled = ids.iter().find(|&&id| {
        left -= weight(id);
        left < 0.0
    });
    sampled.or(ids.last()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORES: [f32; 5] = [9.0, 0.0, 2.0, 1.0, 2.0];

    fn drawn(temperature: f64, top_k: usize, top_p: f64, draw: f64) -> usize {
        let sampling = Sampling { temperature, top_k, top_p, seed: 0 };
        choose(&SCORES, |id| id > 0, sampling, draw).unwrap()
    }

    #[test]
    fn draws_select_tokens_by_probability() {
        // Weights in this order, without the first token, which is unknown: e², e², e¹, e⁰.
        let total = 2.0 * 2f64.exp() + 1f64.exp() + 1.0;
        let at = |mass: f64| drawn(1.0, 0, 1.0, mass / total);
        assert_eq!([0.0, 7.3, 7.5, 14.7, 14.9, 17.4, 17.6].map(at), [2, 2, 4, 4, 3, 3, 1]);
        assert_eq!(drawn(1.0, 0, 1.0, 0.999_999_999), 1);
    }

    #[test]
    fn temperature_top_k_and_top_p_restrict_the_sampled_tokens() {
        for draw in [0.0, 0.4, 0.6, 0.99] {
            assert_eq!(drawn(0.0, 0, 1.0, draw), 2, "temperature 0 picks the first of the most probable");
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
