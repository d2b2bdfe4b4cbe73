//! Windows of truncated backpropagation through time.

/// Window of one TBPTT update, in time steps of the text.
///
/// From the state at `start`, the forward pass runs without gradients to `gradient_from`, then with gradients to `end`.
/// The loss counts from `loss_from`. The next window starts from the state at `state_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Step of the initial recurrent state.
    pub start: usize,
    /// First step with gradients.
    pub gradient_from: usize,
    /// First step whose loss counts.
    pub loss_from: usize,
    /// Step of the recurrent state that is passed to the next window.
    pub state_at: usize,
    /// End of the window (exclusive).
    pub end: usize,
}

/// The windows of TBPTT(`k1`, `k2`) over `steps` time steps: an update every `k1` steps that backpropagates over `k2`.
///
/// `k1` = 0 means all steps, `k2` = 0 means `k1`. Williams and Peng, "An efficient gradient-based algorithm for
/// on-line training of recurrent network trajectories", 1990.
pub fn windows(steps: usize, k1: usize, k2: usize) -> Vec<Window> {
    let k1 = if k1 == 0 { steps } else { k1.min(steps) }.max(1);
    let k2 = if k2 == 0 { k1 } else { k2 };
    let ends: Vec<usize> = (1..=steps.div_ceil(k1)).map(|window| (window * k1).min(steps)).collect();
    // Gradients of an update reach back to the previous update, or further if k2 > k1.
    let updated_at = |index: usize| index.checked_sub(1).map_or(0, |previous| ends[previous]);
    let gradient_from = |index: usize| {
        let back = ends[index].saturating_sub(k2);
        if k2 <= k1 { back.max(updated_at(index)) } else { back }
    };
    let mut start = 0;
    let each = |index: usize| {
        let (end, from) = (ends[index], gradient_from(index));
        let state_at = if index + 1 < ends.len() { gradient_from(index + 1).min(end) } else { end };
        let window = Window { start, gradient_from: from, loss_from: updated_at(index).max(from), state_at, end };
        start = state_at;
        window
    };
    (0..ends.len()).map(each).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_loss_counts_once_unless_k2_is_smaller_than_k1(
            steps in 1..60usize, k1 in 0..70usize, k2 in 0..70usize
        ) {
            prop_assume!(k1 > 0 || k2 == 0);
            let all = windows(steps, k1, k2);
            let every = if k1 == 0 { steps } else { k1.min(steps) };
            prop_assert_eq!(all.last().unwrap().end, steps);
            let mut counted = 0;
            for (index, window) in all.iter().enumerate() {
                let Window { start, gradient_from, loss_from, state_at, end } = *window;
                prop_assert!(start <= gradient_from && gradient_from <= loss_from && loss_from < end);
                prop_assert!((start..=end).contains(&state_at));
                prop_assert_eq!(end, ((index + 1) * every).min(steps));
                // Gradients span k2 steps, limited by the start or, if windows do not overlap, by the previous update.
                let last = if index == 0 { 0 } else { all[index - 1].end };
                let least = if k2 == 0 || k2 <= every { last } else { 0 };
                prop_assert_eq!(gradient_from, end.saturating_sub(if k2 == 0 { every } else { k2 }).max(least));
                if let Some(next) = all.get(index + 1) {
                    prop_assert_eq!(next.start, state_at);
                }
                counted += end - loss_from;
            }
            if k2 == 0 || k2 >= every {
                prop_assert_eq!(counted, steps);
            }
        }
    }

    #[test]
    fn windows_of_typical_tbptt_settings() {
        let of = |k1, k2| -> Vec<[usize; 5]> {
            let each = |w: Window| [w.start, w.gradient_from, w.loss_from, w.state_at, w.end];
            windows(6, k1, k2).into_iter().map(each).collect()
        };
        assert_eq!(of(0, 0), [[0, 0, 0, 6, 6]]);
        assert_eq!(of(6, 6), of(0, 0));
        assert_eq!(of(1, 6)[..3], [[0, 0, 0, 0, 1], [0, 0, 1, 0, 2], [0, 0, 2, 0, 3]]);
        assert_eq!(of(3, 1), [[0, 2, 2, 3, 3], [3, 5, 5, 6, 6]]);
        assert_eq!(of(2, 3), [[0, 0, 0, 1, 2], [1, 1, 2, 3, 4], [3, 3, 4, 6, 6]]);
        assert_eq!(of(3, 3), [[0, 0, 0, 3, 3], [3, 3, 3, 6, 6]]);
        assert_eq!(of(4, 0), [[0, 0, 0, 4, 4], [4, 4, 4, 6, 6]]);
    }
}
