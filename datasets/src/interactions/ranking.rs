//! Metrics of recommendation: ranks of the actual next items.

use crate::scores::{Metric, Scores, metrics};

metrics! {
    /// Mean of 1 / log₂(1 + rank) over users, 0 for ranks above 10 (NDCG@10), where rank is that of the actual next item among all items of
    /// the training split that are not in the user's history.
    pub const NDCG = Higher("ndcg-10", "");

    /// Share of users whose actual next item is among the ten items with the highest scores (HR@10), of all items that are not in their
    /// history.
    pub const HIT_RATE = Higher("hit-rate-10", "");

    /// Mean reciprocal rank of the actual next item, of all items that are not in the user's history.
    pub const MRR = Higher("mrr", "");

    /// NDCG@10 among the actual next item and 100 random items of the training split that the user never interacted with, as in Kang and
    /// McAuley 2018; far higher than `ndcg-10`, and not always in the same order (Krichene and Rendle 2020).
    pub const SAMPLED_NDCG = Higher("sampled-ndcg-10", "");

    /// HR@10 among the actual next item and 100 random items of the training split that the user never interacted with.
    pub const SAMPLED_HIT_RATE = Higher("sampled-hit-rate-10", "");
}

/// Number of recommended items that hit rate and NDCG consider.
const TOP: usize = 10;

/// Ranks and loss of the actual next item of a [`Case`](super::Case); `None` if the training split does not have the item, which is a miss.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outcome {
    /// Number of other items that are not in the history whose score is not below that of the actual one.
    pub rank: Option<usize>,
    /// The same number among the sampled items.
    pub sampled_rank: Option<usize>,
    /// Loss in nats, if the model has one.
    pub loss: Option<f64>,
}

impl Outcome {
    /// Whether the actual item is among the first ten.
    pub fn is_hit(&self) -> bool {
        self.rank.is_some_and(|rank| rank < TOP)
    }

    /// The metrics of outcomes, with the mean loss over those that have one.
    ///
    /// ```
    /// use seqzoo_datasets::interactions::{HIT_RATE, MRR, NDCG, Outcome};
    ///
    /// // Ranks are counted from 0 here: the actual item is the second one, the eleventh one, and unknown.
    /// let outcome = |rank| Outcome { rank, ..Outcome::default() };
    /// let scores = Outcome::scores([Some(1), Some(10), None].map(outcome).iter());
    /// assert_eq!(scores.get(HIT_RATE), Some(1.0 / 3.0));
    /// assert_eq!(scores.get(NDCG), Some(1.0 / 3f64.log2() / 3.0));
    /// assert_eq!(scores.get(MRR), Some((1.0 / 2.0 + 1.0 / 11.0) / 3.0));
    /// ```
    pub fn scores<'a>(outcomes: impl Iterator<Item = &'a Self>) -> Scores {
        let (mut count, mut sums, mut losses) = (0u32, [0.0; 5], (0.0, 0u32));
        for Self { rank, sampled_rank, loss } in outcomes {
            count += 1;
            let reciprocal = rank.map_or(0.0, |rank| 1.0 / (rank + 1) as f64);
            let values = [gain(*rank), hit(*rank), reciprocal, gain(*sampled_rank), hit(*sampled_rank)];
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            losses = loss.map_or(losses, |loss| (losses.0 + loss, losses.1 + 1));
        }
        let [ndcg, hit_rate, mrr, sampled_ndcg, sampled_hit_rate] = sums.map(|sum| sum / f64::from(count.max(1)));
        let metrics = [
            (NDCG, ndcg),
            (HIT_RATE, hit_rate),
            (MRR, mrr),
            (SAMPLED_NDCG, sampled_ndcg),
            (SAMPLED_HIT_RATE, sampled_hit_rate),
        ];
        let mut scores = Scores::new(count as usize, metrics);
        if losses.1 > 0 {
            scores.insert(Metric::LOSS, losses.0 / f64::from(losses.1));
        }
        scores
    }
}

/// NDCG@10 of one relevant item.
fn gain(rank: Option<usize>) -> f64 {
    rank.filter(|&rank| rank < TOP).map_or(0.0, |rank| 1.0 / ((rank + 2) as f64).log2())
}

/// Hit rate at 10 of one relevant item.
fn hit(rank: Option<usize>) -> f64 {
    f64::from(u8::from(rank.is_some_and(|rank| rank < TOP)))
}
