//! Text generation: sampling the next token from a language model's scores, or beam search.

use std::collections::VecDeque;

use seqzoo_random::{Key, Purpose, RngExt};
use seqzoo_tasks::PredictError;
use seqzoo_tasks::language_model::{LanguageModelStream, TextModel, TextState};

use seqzoo_datasets::text::UNKNOWN;

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

/// A continuation that beam search found.
#[derive(Debug, Clone, PartialEq)]
pub struct Continuation {
    /// The text after the prompt.
    pub text: String,
    /// Natural logarithm of its probability after the prompt.
    pub log_probability: f64,
}

/// A continuation under construction.
#[derive(Clone)]
struct Partial {
    tokens: Vec<u32>,
    log_probability: f64,
    state: TextState,
    scores: Vec<f32>,
}

/// Beam search over continuations of `length` tokens: at most `width` different ones, the most probable first. The greedy continuation is a
/// candidate at every width, and the only one at width 1.
pub(crate) fn beam_search(model: &TextModel, prompt: &Prompt, length: usize, width: usize) -> Vec<Continuation> {
    let mut stream = model.stream();
    let mut scores = Vec::new();
    prompt.tokens.iter().for_each(|&token| stream.step(token, &mut scores));
    let start = Partial { tokens: Vec::new(), log_probability: 0.0, state: stream.state(), scores };
    let mut found = search(model, &mut stream, start.clone(), length, width);
    if width > 1 {
        // The beam may drop the greedy prefix in favor of prefixes that end up less probable.
        for greedy in search(model, &mut stream, start, length, 1) {
            if found.iter().all(|other| other.tokens != greedy.tokens) {
                found.push(greedy);
            }
        }
        found.sort_by(|a, b| b.log_probability.total_cmp(&a.log_probability));
        found.truncate(width);
    }
    let codec = model.codec();
    let text = |tokens: &[u32]| {
        let mut previous = prompt.last.as_deref();
        let mut text = String::new();
        for token in tokens.iter().filter_map(|&token| codec.vocabulary.token(token)) {
            text += &codec.level.detokenize(previous.replace(token), token);
        }
        text
    };
    found
        .iter()
        .map(|found| Continuation { text: text(&found.tokens), log_probability: found.log_probability })
        .collect()
}

fn search(
    model: &TextModel,
    stream: &mut LanguageModelStream,
    start: Partial,
    length: usize,
    width: usize,
) -> Vec<Partial> {
    let known = |id: usize| model.codec().vocabulary.token(id as u32).is_some();
    let mut active = vec![start];
    for _ in 0..length {
        // Parent, token, log probability.
        let mut candidates: Vec<(usize, usize, f64)> = Vec::new();
        for (parent, partial) in active.iter().enumerate() {
            let log_sum = log_sum_exp(&partial.scores);
            let best = ranked(&partial.scores, known).into_iter().take(width);
            candidates
                .extend(best.map(|id| (parent, id, partial.log_probability + f64::from(partial.scores[id]) - log_sum)));
        }
        candidates.sort_by(|a, b| b.2.total_cmp(&a.2).then((a.0, a.1).cmp(&(b.0, b.1))));
        candidates.truncate(width);
        let next = |&(parent, id, log_probability): &(usize, usize, f64)| {
            let Partial { tokens, state, .. } = &active[parent];
            stream.set_state(state);
            let mut scores = Vec::new();
            stream.step(id as u32, &mut scores);
            let tokens = tokens.iter().copied().chain([id as u32]).collect();
            Partial { tokens, log_probability, state: stream.state(), scores }
        };
        active = candidates.iter().map(next).collect();
    }
    active
}

fn log_sum_exp(scores: &[f32]) -> f64 {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    f64::from(most) + scores.iter().map(|&score| f64::from(score - most).exp()).sum::<f64>().ln()
}

/// Pieces of text up to one of several stop strings, which is not part of them.
#[derive(Debug)]
pub struct Until<I> {
    pieces: I,
    stops: Vec<String>,
    /// Text that may be the start of a stop string.
    held: String,
    ready: VecDeque<String>,
    is_done: bool,
}

impl<I: Iterator<Item = String>> Until<I> {
    /// The `pieces` until their text contains one of `stops`; empty stop strings are ignored.
    pub fn new(pieces: I, stops: &[String]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        Self { pieces, stops, held: String::new(), ready: VecDeque::new(), is_done: false }
    }
}

impl<I: Iterator<Item = String>> Iterator for Until<I> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(piece);
            }
            if self.is_done {
                return None;
            }
            match self.pieces.next() {
                Some(piece) => self.held += &piece,
                None => self.is_done = true,
            }
            let first = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min();
            let end = match first {
                Some(end) => {
                    self.is_done = true;
                    end
                }
                None if self.is_done => self.held.len(),
                // The longest end of the text that begins a stop string is held back.
                None => {
                    let begins = |start: &usize| self.stops.iter().any(|stop| stop.starts_with(&self.held[*start..]));
                    let starts = self.held.char_indices().map(|(start, _)| start);
                    starts.into_iter().find(begins).unwrap_or(self.held.len())
                }
            };
            let rest = self.held.split_off(end);
            let text = std::mem::replace(&mut self.held, rest);
            self.ready.extend((!text.is_empty()).then_some(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    fn until(pieces: &[&str], stops: &[&str]) -> String {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Until::new(owned(pieces).into_iter(), &owned(stops)).collect()
    }

    #[test]
    fn text_ends_before_the_first_stop_string() {
        assert_eq!(until(&["so ", "it go", "es, and"], &["goes"]), "so it ");
        assert_eq!(until(&["a", "b", "a", "c"], &["ac", "ba"]), "a");
        assert_eq!(until(&["a", "b"], &["abc"]), "ab", "an unfinished stop string is text");
        assert_eq!(until(&["a", "b"], &[""]), "ab");
        let mut endless = Until::new(std::iter::repeat("x".to_owned()), &["y".to_owned()]);
        assert_eq!(endless.next().as_deref(), Some("x"), "text that begins no stop string is not held back");
    }

    proptest! {
        #[test]
        fn stop_strings_are_found_across_pieces(text in "[ab]{0,12}", cuts in prop::collection::vec(0..12usize, 0..4), stop in "[ab]{1,3}") {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let pieces: Vec<&str> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
            let expected = text.find(&stop).map_or(&text[..], |end| &text[..end]);
            prop_assert_eq!(until(&pieces, &[&stop]), expected);
        }
    }
}
