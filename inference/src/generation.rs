//! Text generation: sampling the next token from a language model's scores.

mod beam;
mod music;
mod stops;

pub use beam::Continuation;
pub(crate) use beam::beam_search;
pub use music::GeneratedMusic;
pub use stops::Until;

use seqzoo_datasets::text::UNKNOWN;
use seqzoo_random::{Key, Purpose, RngExt};
use seqzoo_tasks::PredictError;
use seqzoo_tasks::language_model::{LanguageModelStream, TextModel};

/// Sampling parameters.
///
/// ```text
/// s' = s / penalty if s > 0, else s · penalty, for tokens in the text so far
/// p = softmax(s' / temperature), of the top_k most probable, of the smallest set of these whose mass reaches top_p,
///     of those with p >= min_p · max p
/// ```
///
/// Temperature 0 always picks the most probable token (greedy decoding). Top-k: Fan et al., "Hierarchical neural story
/// generation", ACL 2018; top-p: Holtzman et al., "The curious case of neural text degeneration", ICLR 2020; min-p: Nguyen et al.,
/// "Turning up the heat: min-p sampling for creative and coherent LLM outputs", ICLR 2025; repetition penalty: Keskar et al., "CTRL: a
/// conditional transformer language model for controllable generation", 2019.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Sampling temperature, at least 0; values below 1 sharpen the distribution, values above 1 flatten it.
    pub temperature: f64,
    /// Number of most probable tokens to sample from; 0: all.
    pub top_k: usize,
    /// Total probability of the tokens to sample from, in (0, 1].
    pub top_p: f64,
    /// Least probability of the tokens to sample from, relative to that of the most probable one, in [0, 1].
    pub min_p: f64,
    /// Repetition penalty, at least 1, which changes nothing.
    pub repetition_penalty: f64,
    /// Random seed.
    pub seed: u64,
}

impl Default for Sampling {
    /// Samples from the distribution of the model.
    fn default() -> Self {
        Self { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, repetition_penalty: 1.0, seed: 0 }
    }
}

/// The tokens of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    tokens: Vec<u32>,
    /// The last token, which determines the separator after it; none if the text ends in white space.
    last: Option<String>,
    /// Tokens outside of the vocabulary, each once, which are replaced by the unknown token.
    pub unknown: Vec<String>,
}

impl Prompt {
    /// Divides a text into tokens of a model.
    ///
    /// # Errors
    /// If the text has no token.
    pub fn new(model: &TextModel, text: &str) -> Result<Self, PredictError> {
        let codec = model.codec();
        let (mut tokens, mut unknown) = (Vec::new(), Vec::new());
        let texts = codec.tokens(text);
        let last = texts.last().filter(|_| !text.ends_with(char::is_whitespace)).cloned();
        for token in texts {
            let id = codec.vocabulary.id(&token);
            tokens.push(id);
            if id == UNKNOWN && !unknown.contains(&token) {
                unknown.push(token);
            }
        }
        if tokens.is_empty() {
            return Err(PredictError::Empty { index: 0 });
        }
        Ok(Self { tokens, last, unknown })
    }
}

/// Generated text: an endless iterator over tokens as text, each with the separator before it.
#[derive(Debug)]
pub struct GeneratedText<'a> {
    model: &'a TextModel,
    stream: LanguageModelStream<'a>,
    sampling: Sampling,
    scores: Vec<f32>,
    /// Whether each token is in the text so far, if that matters.
    seen: Option<Vec<bool>>,
    previous: Option<String>,
    generated: u64,
}

impl<'a> GeneratedText<'a> {
    /// Starts after a prompt.
    pub(crate) fn after(model: &'a TextModel, prompt: &Prompt, sampling: Sampling) -> Self {
        let mut stream = model.stream();
        let mut scores = Vec::new();
        prompt.tokens.iter().for_each(|&token| stream.step(token, &mut scores));
        let seen = (sampling.repetition_penalty > 1.0).then(|| {
            let mut seen = vec![false; scores.len()];
            prompt.tokens.iter().for_each(|&token| seen[token as usize] = true);
            seen
        });
        let previous = prompt.last.clone();
        Self { model, stream, sampling, scores, seen, previous, generated: 0 }
    }
}

impl Iterator for GeneratedText<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let draw =
            Key::new(self.sampling.seed, Purpose::Generation).with_first(self.generated).stream().random::<f64>();
        let codec = self.model.codec();
        let known = |id: usize| codec.vocabulary.token(id as u32).is_some();
        if let Some(seen) = &self.seen {
            penalize(&mut self.scores, seen, self.sampling.repetition_penalty as f32);
        }
        let id = choose(&self.scores, known, self.sampling, draw)?;
        self.generated += 1;
        self.seen.iter_mut().for_each(|seen| seen[id] = true);
        self.stream.step(id as u32, &mut self.scores);
        let token = codec.vocabulary.token(id as u32)?;
        Some(codec.level.detokenize(self.previous.replace(token.to_owned()).as_deref(), token))
    }
}

/// Lowers the scores of tokens that were seen.
fn penalize(scores: &mut [f32], seen: &[bool], penalty: f32) {
    let seen = scores.iter_mut().zip(seen).filter(|(_, is_seen)| **is_seen);
    seen.for_each(|(score, _)| *score = if *score > 0.0 { *score / penalty } else { *score * penalty });
}

/// The ids of known tokens by decreasing score. Ties go to the lower id, so that the order is deterministic.
fn ranked(scores: &[f32], known: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut ids: Vec<usize> = (0..scores.len()).filter(|&id| known(id) && !scores[id].is_nan()).collect();
    ids.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    ids
}

/// Samples a token id, given a uniform draw in [0, 1); `None` if every score is NaN.
fn choose(scores: &[f32], known: impl Fn(usize) -> bool, sampling: Sampling, draw: f64) -> Option<usize> {
    let Sampling { temperature, top_k, top_p, min_p, .. } = sampling;
    let mut ids = ranked(scores, known);
    let &best = ids.first()?;
    if temperature == 0.0 {
        return Some(best);
    }
    if top_k > 0 {
        ids.truncate(top_k);
    }
    // Relative to that of the most probable token.
    let weight = |id: usize| ((f64::from(scores[id]) - f64::from(scores[best])) / temperature).exp();
    let total: f64 = ids.iter().map(|&id| weight(id)).sum();
    let mut mass = 0.0;
    let reached = ids.iter().position(|&id| {
        mass += weight(id);
        mass >= top_p * total
    });
    ids.truncate(reached.map_or(ids.len(), |last| last + 1));
    ids.retain(|&id| weight(id) >= min_p);
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
        let sampling = Sampling { temperature, top_k, top_p, ..Sampling::default() };
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
    fn temperature_top_k_top_p_and_min_p_restrict_the_sampled_tokens() {
        for draw in [0.0, 0.4, 0.6, 0.99] {
            assert_eq!(drawn(0.0, 0, 1.0, draw), 2, "temperature 0 picks the first of the most probable");
            assert_eq!(drawn(5.0, 1, 1.0, draw), 2);
            assert!([2, 4].contains(&drawn(1.0, 2, 1.0, draw)));
            // Half of the mass needs two tokens, a little needs one.
            assert!([2, 4].contains(&drawn(1.0, 0, 0.5, draw)));
            assert_eq!(drawn(1.0, 0, 0.1, draw), 2);
            assert_eq!(drawn(1e-3, 0, 1.0, draw), if draw < 0.5 { 2 } else { 4 });
            // Probabilities relative to the highest: 1, 1, e⁻¹ = 0.37, e⁻² = 0.14.
            let min_p = |min_p: f64| choose(&SCORES, |id| id > 0, Sampling { min_p, ..Sampling::default() }, draw);
            assert!([Some(2), Some(4)].contains(&min_p(0.4)));
            assert!([Some(2), Some(3), Some(4)].contains(&min_p(0.3)));
        }
        assert_eq!(choose(&SCORES, |id| id > 0, Sampling { min_p: 0.1, ..Sampling::default() }, 0.999), Some(1));
        assert_eq!(choose(&[f32::NAN; 3], |_| true, Sampling::default(), 0.5), None);
    }

    #[test]
    fn the_penalty_lowers_scores_of_seen_tokens_whatever_their_sign() {
        let mut scores = [2.0, -2.0, 2.0, -2.0];
        penalize(&mut scores, &[true, true, false, false], 2.0);
        assert_eq!(scores, [1.0, -4.0, 2.0, -2.0]);
    }
}
