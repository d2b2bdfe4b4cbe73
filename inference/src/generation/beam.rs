//! Beam search: the most probable continuations of a prompt.

use std::collections::HashSet;

use seqzoo_tasks::language_model::{LanguageModelStream, TextModel, TextState};

use super::stops::end;
use super::{Prompt, ranked};

/// A continuation that beam search found.
#[derive(Debug, Clone, PartialEq)]
pub struct Continuation {
    /// The text after the prompt, up to a stop string.
    pub text: String,
    /// Natural logarithm of the probability of its tokens after the prompt, those of the stop string included.
    pub log_probability: f64,
}

/// A continuation under construction.
#[derive(Clone)]
struct Partial {
    text: String,
    log_probability: f64,
    /// The last token, which determines the separator before the next one.
    previous: Option<String>,
    /// State and scores of the next token; none if the text has ended at a stop string.
    next: Option<(TextState, Vec<f32>)>,
}

/// The token after a partial continuation.
#[derive(Clone, Copy)]
struct Candidate {
    parent: usize,
    /// None if the parent has ended.
    token: Option<usize>,
    log_probability: f64,
}

/// Beam search over continuations of `length` tokens, or fewer up to one of `stops`: at most `width` different ones, the most probable first.
/// The greedy continuation is a candidate at every width, and the only one at width 1.
pub(crate) fn beam_search(
    model: &TextModel,
    prompt: &Prompt,
    length: usize,
    width: usize,
    stops: &[String],
) -> Vec<Continuation> {
    let mut stream = model.stream();
    let mut scores = Vec::new();
    prompt.tokens.iter().for_each(|&token| stream.step(token, &mut scores));
    let next = Some((stream.state(), scores));
    let start = Partial { text: String::new(), log_probability: 0.0, previous: prompt.last.clone(), next };
    let mut search = Search { model, stream, length, stops };
    let mut found = search.run(start.clone(), width);
    if width > 1 {
        // The beam may drop the greedy prefix in favor of prefixes that end up less probable.
        found.extend(search.run(start, 1));
        found.sort_by(|a, b| b.log_probability.total_cmp(&a.log_probability));
    }
    // Different tokens may be the same text.
    let mut seen = HashSet::new();
    found.retain(|continuation| seen.insert(continuation.text.clone()));
    found.truncate(width);
    found
}

struct Search<'a> {
    model: &'a TextModel,
    stream: LanguageModelStream<'a>,
    length: usize,
    stops: &'a [String],
}

impl Search<'_> {
    fn run(&mut self, start: Partial, width: usize) -> Vec<Continuation> {
        let mut active = vec![start];
        for _ in 0..self.length {
            let mut candidates: Vec<Candidate> = active
                .iter()
                .enumerate()
                .flat_map(|(parent, partial)| self.candidates(parent, partial, width))
                .collect();
            candidates.sort_by(|a, b| b.log_probability.total_cmp(&a.log_probability));
            candidates.truncate(width);
            active =
                candidates.into_iter().map(|candidate| self.extended(&active[candidate.parent], candidate)).collect();
            if active.iter().all(|partial| partial.next.is_none()) {
                break;
            }
        }
        let done = |Partial { text, log_probability, .. }: Partial| Continuation { text, log_probability };
        active.into_iter().map(done).collect()
    }

    /// The most probable continuations of a partial one by a token.
    fn candidates(&self, parent: usize, partial: &Partial, width: usize) -> Vec<Candidate> {
        let log_probability = partial.log_probability;
        let Some((_, scores)) = &partial.next else { return vec![Candidate { parent, token: None, log_probability }] };
        let known = |id: usize| self.model.codec().vocabulary.token(id as u32).is_some();
        let normalizer = log_sum_exp(scores);
        let candidate = |id: usize| Candidate {
            parent,
            token: Some(id),
            log_probability: log_probability + f64::from(scores[id]) - normalizer,
        };
        ranked(scores, known).into_iter().take(width).map(candidate).collect()
    }

    fn extended(&mut self, parent: &Partial, candidate: Candidate) -> Partial {
        let (Some((state, _)), Some(id)) = (&parent.next, candidate.token) else { return parent.clone() };
        let codec = self.model.codec();
        let token = codec.vocabulary.token(id as u32).unwrap_or_default();
        let mut text = parent.text.clone() + &codec.level.detokenize(parent.previous.as_deref(), token);
        let (previous, log_probability) = (Some(token.to_owned()), candidate.log_probability);
        if let Some(end) = end(&text, self.stops) {
            text.truncate(end);
            return Partial { text, log_probability, previous, next: None };
        }
        self.stream.set_state(state);
        let mut scores = Vec::new();
        self.stream.step(id as u32, &mut scores);
        Partial { text, log_probability, previous, next: Some((self.stream.state(), scores)) }
    }
}

/// log Σ exp(score), without overflow.
fn log_sum_exp(scores: &[f32]) -> f64 {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    f64::from(most) + scores.iter().map(|&score| f64::from(score - most).exp()).sum::<f64>().ln()
}
