//! Greedy decoding and beam search.

use std::cmp::Ordering;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Tensor, TensorData};

use super::{EncodedSource, EncoderDecoder};

/// Options for generating targets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Generation<'a> {
    /// Begin-of-sequence token: the decoder's first input.
    pub bos: usize,
    /// End-of-sequence token; it is not returned.
    pub eos: usize,
    /// Tokens that are never generated, such as padding.
    pub suppressed: &'a [usize],
    /// Maximum number of tokens, at least one.
    pub max_length: usize,
    /// Exponent α of the length normalization that ranks hypotheses; 0: no normalization. See [`Generation::score`].
    pub length_penalty: f64,
}

/// A generated target and its log-probability.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hypothesis {
    /// Tokens, without the end-of-sequence token.
    pub tokens: Vec<usize>,
    /// Sum of the tokens' log-probabilities in nats, including that of the end-of-sequence token if it was generated,
    /// under the softmax over the whole vocabulary.
    pub log_probability: f64,
}

impl Generation<'_> {
    /// Score by which beam search ranks a hypothesis:
    ///
    /// ```text
    /// score = log P / ((5 + n) / 6)^α
    /// ```
    ///
    /// `n` is the number of generated tokens, the end-of-sequence token included, and α is
    /// [`length_penalty`](Generation::length_penalty). Without normalization (α = 0), long hypotheses lose to short ones, since each token
    /// makes a hypothesis less probable.
    ///
    /// Wu et al., "Google's neural machine translation system", arXiv:1609.08144, 2016.
    ///
    /// ```
    /// use seqzoo_models::networks::{Generation, Hypothesis};
    ///
    /// let generation = Generation { bos: 0, eos: 1, suppressed: &[], max_length: 20, length_penalty: 1.0 };
    /// let hypothesis = Hypothesis { tokens: vec![2; 6], log_probability: -4.0 };
    /// assert_eq!(generation.score(&hypothesis), -2.0);
    /// ```
    pub fn score(&self, hypothesis: &Hypothesis) -> f64 {
        // A hypothesis of the maximum length did not end.
        self.normalized(hypothesis.log_probability, (hypothesis.tokens.len() + 1).min(self.max_length))
    }

    /// The score of a log-probability of `length` tokens.
    fn normalized(&self, log_probability: f64, length: usize) -> f64 {
        log_probability / ((5 + length) as f64 / 6.0).powf(self.length_penalty)
    }

    /// Keeps the `width` hypotheses with the highest scores, the best first; stable for ties.
    fn keep_best(&self, hypotheses: &mut Vec<Hypothesis>, width: usize) {
        hypotheses.sort_by(|one, other| self.score(other).total_cmp(&self.score(one)));
        hypotheses.truncate(width);
    }

    /// Scores, `[batch, vocabulary]`, with suppressed tokens at the lowest value.
    fn allowed(&self, scores: Tensor<2>) -> Tensor<2> {
        if self.suppressed.is_empty() {
            return scores;
        }
        let [batch, vocabulary] = scores.dims();
        let mask: Vec<bool> = (0..vocabulary).map(|token| self.suppressed.contains(&token)).collect();
        let mask = Tensor::<2, Bool>::from_data(TensorData::new(mask, [1, vocabulary]), &scores.device());
        scores.mask_fill(mask.expand([batch, vocabulary]), f32::MIN)
    }
}

impl EncoderDecoder {
    /// Greedy decoding of each encoded source: the most probable next token at each step. What is generated for a source does not depend
    /// on the others.
    pub fn greedy(&self, mut encoded: EncodedSource, generation: &Generation) -> Vec<Hypothesis> {
        let batch = encoded.lengths.len();
        let mut generated = vec![Hypothesis::default(); batch];
        let mut done = vec![false; batch];
        let mut last = vec![generation.bos; batch];
        for _ in 0..generation.max_length {
            let (scores, next) = self.step(encoded, &last);
            encoded = next;
            let best = generation.allowed(scores.clone()).argmax(1);
            let probabilities = log_softmax(scores, 1).gather(1, best.clone()).try_into_vec_as::<f32>();
            let probabilities = probabilities.expect("a computed tensor can be read");
            let best = best.try_into_vec_as::<i64>().expect("a computed tensor can be read");
            last = best.iter().map(|&token| token as usize).collect();
            for (row, (&token, probability)) in last.iter().zip(probabilities).enumerate() {
                if done[row] {
                    continue;
                }
                generated[row].log_probability += f64::from(probability);
                done[row] = token == generation.eos;
                if !done[row] {
                    generated[row].tokens.push(token);
                }
            }
            if done.iter().all(|&done| done) {
                break;
            }
        }
        generated
    }

    /// Beam search for each encoded source: at most `width` distinct hypotheses, by [`Generation::score`], the best first. What is found
    /// for a source does not depend on the others.
    ///
    /// Beam width 1 is [`EncoderDecoder::greedy`]; the greedy target is a candidate at every width, so no beam has a lower score.
    ///
    /// # Panics
    /// If `width` is 0.
    pub fn beam_search(&self, encoded: EncodedSource, generation: &Generation, width: usize) -> Vec<Vec<Hypothesis>> {
        assert!(width > 0, "beam width must be at least 1");
        if width == 1 {
            return self.greedy(encoded, generation).into_iter().map(|found| vec![found]).collect();
        }
        let mut found = self.search(encoded.clone(), generation, width);
        // The beam may drop the greedy prefix in favor of prefixes that end up with a lower score.
        for (found, greedy) in found.iter_mut().zip(self.search(encoded, generation, 1)) {
            let is_new = |greedy: &Hypothesis| found.iter().all(|other| other.tokens != greedy.tokens);
            let missing: Vec<Hypothesis> = greedy.into_iter().filter(is_new).collect();
            found.extend(missing);
            generation.keep_best(found, width);
        }
        found
    }

    /// Beam search without the greedy candidate. The hypotheses of all sources are the rows of each step of the decoder.
    fn search(&self, mut encoded: EncodedSource, generation: &Generation, width: usize) -> Vec<Vec<Hypothesis>> {
        let mut beams = vec![Beam::new(generation, width); encoded.lengths.len()];
        for _ in 0..generation.max_length {
            let (scores, next) = self.step(encoded, &beams.iter().flat_map(Beam::last).collect::<Vec<_>>());
            let (device, vocabulary) = (scores.device(), scores.dims()[1]);
            let scores = scores.try_into_vec_as::<f32>().expect("a computed tensor can be read");
            let mut rows = scores.chunks_exact(vocabulary).enumerate();
            let mut parents = Vec::new();
            for beam in &mut beams {
                let rows: Vec<(usize, &[f32])> = rows.by_ref().take(beam.active.len()).collect();
                parents.extend(beam.advance(&rows));
            }
            if parents.is_empty() {
                break;
            }
            encoded = next.select(&parents, &device);
        }
        beams.into_iter().map(Beam::finish).collect()
    }
}

/// The hypotheses of one source.
#[derive(Debug, Clone)]
struct Beam<'a> {
    generation: &'a Generation<'a>,
    width: usize,
    /// Unfinished hypotheses, the most probable first.
    active: Vec<Hypothesis>,
    /// The best hypotheses that ended.
    ended: Vec<Hypothesis>,
}

impl<'a> Beam<'a> {
    fn new(generation: &'a Generation<'a>, width: usize) -> Self {
        Self { generation, width, active: vec![Hypothesis::default()], ended: Vec::new() }
    }

    /// The last token of each active hypothesis.
    fn last(&self) -> impl Iterator<Item = usize> {
        self.active.iter().map(|hypothesis| *hypothesis.tokens.last().unwrap_or(&self.generation.bos))
    }

    /// Extends the active hypotheses by one token, given the row of each one in the batch and its scores. Returns the row from which each
    /// one that is still active descends; none if the search is over.
    fn advance(&mut self, rows: &[(usize, &[f32])]) -> Vec<usize> {
        let Self { generation, width, .. } = *self;
        let mut candidates: Vec<Candidate> = Vec::new();
        for (parent, &(_, scores)) in rows.iter().enumerate() {
            candidates.extend(Candidate::of(parent, self.active[parent].log_probability, scores, generation, width));
        }
        candidates.sort_by(Candidate::order);
        candidates.truncate(width);
        let (mut parents, mut kept) = (Vec::new(), Vec::new());
        for Candidate { parent, token, log_probability, .. } in candidates {
            let mut tokens = self.active[parent].tokens.clone();
            if token == generation.eos {
                self.ended.push(Hypothesis { tokens, log_probability });
            } else {
                tokens.push(token);
                kept.push(Hypothesis { tokens, log_probability });
                parents.push(rows[parent].0);
            }
        }
        self.active = kept;
        generation.keep_best(&mut self.ended, width);
        if self.is_decided() {
            self.active.clear();
            parents.clear();
        }
        parents
    }

    /// Whether no active hypothesis can still replace an ended one: log-probabilities never increase, and no normalization is larger than
    /// that of the maximum length.
    fn is_decided(&self) -> bool {
        let (Some(best), Some(least)) = (self.active.first(), self.ended.get(self.width - 1)) else { return false };
        let bound = self.generation.normalized(best.log_probability, self.generation.max_length);
        bound <= self.generation.score(least)
    }

    fn finish(mut self) -> Vec<Hypothesis> {
        self.ended.append(&mut self.active);
        self.generation.keep_best(&mut self.ended, self.width);
        self.ended
    }
}

/// A hypothesis extended by one token.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// Index of the extended hypothesis.
    parent: usize,
    token: usize,
    /// Log-probability of the extended hypothesis.
    log_probability: f64,
    /// Score of the token before softmax: breaks ties caused by rounding, as greedy decoding does.
    score: f32,
}

impl Candidate {
    /// The `width` best continuations of a hypothesis, given the scores of the whole vocabulary.
    fn of(parent: usize, prefix: f64, scores: &[f32], generation: &Generation, width: usize) -> Vec<Self> {
        let largest = f64::from(scores.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let sum: f64 = scores.iter().map(|&score| (f64::from(score) - largest).exp()).sum();
        let normalizer = largest + sum.ln();
        let candidate = |(token, &score): (usize, &f32)| Self {
            parent,
            token,
            log_probability: prefix + (f64::from(score) - normalizer),
            score,
        };
        // A token that can only be copied is impossible where it is not in the source.
        let is_allowed =
            |(token, score): &(usize, &f32)| !generation.suppressed.contains(token) && **score > f32::NEG_INFINITY;
        let allowed = scores.iter().enumerate().filter(is_allowed);
        let mut candidates: Vec<Self> = allowed.map(candidate).collect();
        if candidates.len() > width {
            candidates.select_nth_unstable_by(width, Self::order);
            candidates.truncate(width);
        }
        candidates
    }

    /// The most probable first; ties go to the first parent, then to the first token.
    fn order(&self, other: &Self) -> Ordering {
        let probability = other.log_probability.total_cmp(&self.log_probability);
        let earlier = || (self.parent, self.token).cmp(&(other.parent, other.token));
        probability.then(other.score.total_cmp(&self.score)).then_with(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENERATION: Generation = Generation { bos: 0, eos: 1, suppressed: &[0], max_length: 4, length_penalty: 0.0 };

    fn logs<const N: usize>(probabilities: [f32; N]) -> [f32; N] {
        probabilities.map(f32::ln)
    }

    /// Two steps of a beam, in which both steps have these probabilities of padding, end and two tokens.
    fn after_two_steps(generation: &Generation, steps: [[f32; 4]; 2]) -> Vec<Vec<usize>> {
        let mut beam = Beam::new(generation, 2);
        for step in steps {
            let scores = logs(step);
            let rows: Vec<(usize, &[f32])> = (0..beam.active.len()).map(|row| (row, &scores[..])).collect();
            beam.advance(&rows);
        }
        beam.finish().into_iter().map(|found| found.tokens).collect()
    }

    #[test]
    fn length_normalization_prefers_longer_hypotheses() {
        // P(end) = 0.4, P(2, end) = 0.5 · 0.7 = 0.35; with α = 2, ln 0.4 / 1 = -0.92 and ln 0.35 / (7/6)² = -0.77.
        let steps = [[0.0, 0.4, 0.5, 0.1], [0.0, 0.7, 0.2, 0.1]];
        assert_eq!(after_two_steps(&GENERATION, steps), [vec![], vec![2]]);
        let normalized = Generation { length_penalty: 2.0, ..GENERATION };
        assert_eq!(after_two_steps(&normalized, steps), [vec![2], vec![]]);
    }

    #[test]
    fn a_search_ends_when_no_active_hypothesis_can_replace_an_ended_one() {
        let scores = logs([0.0, 0.5, 0.3, 0.2]);
        let mut beam =
            Beam { ended: vec![Hypothesis { tokens: vec![3], log_probability: -1.0 }; 2], ..Beam::new(&GENERATION, 2) };
        // The new active hypothesis has ln 0.3 = -1.2.
        assert!(beam.clone().advance(&[(7, &scores)]).is_empty());
        let normalized = Generation { length_penalty: 1.0, ..GENERATION };
        beam.generation = &normalized;
        // At the maximum length, -1.2 / (9/6) = -0.8 > -1 / (7/6) = -0.86: it may still replace one.
        assert_eq!(beam.advance(&[(7, &scores)]), [7]);
    }

    #[test]
    fn the_score_divides_by_the_length_with_the_end() {
        let generation = Generation { length_penalty: 0.5, ..GENERATION };
        let score = |tokens: usize| generation.score(&Hypothesis { tokens: vec![2; tokens], log_probability: -3.0 });
        assert_eq!(score(0), -3.0);
        assert!((score(1) + 3.0 / (7.0f64 / 6.0).sqrt()).abs() < 1e-12);
        // Four tokens are the maximum: the end was not generated.
        assert_eq!(score(4), score(3));
    }
}
