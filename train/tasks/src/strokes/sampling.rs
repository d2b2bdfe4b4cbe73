//! Sampling of points.

use seqzoo_datasets::drawing::{Pen, Step};
use seqzoo_models::networks::{Component, PointDistribution};
use seqzoo_random::{Key, RngExt};

/// Draws the next step of the pen, in units of the training split, at a temperature T.
///
/// ```text
/// component ~ softmax(log π / T)      pen ~ softmax(log q / T)      (dx, dy) ~ N(μ, T Σ)
/// ```
///
/// T = 0 takes the mean of the most probable component and the most probable state of the pen. Ha and Eck, "A neural representation of
/// sketch drawings", ICLR 2018.
pub(super) fn sample(next: &PointDistribution, temperature: f64, key: Key) -> Step {
    let mut stream = key.stream();
    let [of_component, of_pen, radius, angle] = [(); 4].map(|()| stream.random::<f64>());
    let log_weights: Vec<f64> = next.components.iter().map(|component| component.log_weight).collect();
    let Component { mean, deviation, correlation, .. } =
        next.components[choose(&log_weights, temperature, of_component)];
    let [first, second] = standard_normals(radius, angle);
    let independent = (1.0 - correlation * correlation).sqrt();
    let [x, y] = [first, correlation * first + independent * second];
    let spread = temperature.sqrt();
    let offset = [mean[0] + spread * deviation[0] * x, mean[1] + spread * deviation[1] * y];
    Step { offset: offset.map(|value| value as f32), pen: Pen::ALL[choose(&next.log_pens, temperature, of_pen)] }
}

/// An index with probability softmax(logs / temperature), given a uniform draw in [0, 1); at temperature 0 that of the first maximum.
fn choose(logs: &[f64], temperature: f64, draw: f64) -> usize {
    let largest = (0..logs.len()).rev().max_by(|&a, &b| logs[a].total_cmp(&logs[b])).expect("there is a choice");
    if temperature == 0.0 {
        return largest;
    }
    let weight = |log: &f64| ((log - logs[largest]) / temperature).exp();
    let mut left = draw * logs.iter().map(weight).sum::<f64>();
    let chosen = logs.iter().position(|log| {
        left -= weight(log);
        left < 0.0
    });
    chosen.unwrap_or(largest)
}

/// Two independent standard normal numbers from two uniform ones in [0, 1) (Box and Muller 1958).
fn standard_normals(radius: f64, angle: f64) -> [f64; 2] {
    let radius = (-2.0 * (1.0 - radius).ln()).sqrt();
    let (sine, cosine) = (std::f64::consts::TAU * angle).sin_cos();
    [radius * cosine, radius * sine]
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqzoo_random::Purpose;

    /// Two components, of weights 0.2 and 0.8.
    fn distribution() -> PointDistribution {
        let component = |weight: f64, mean: [f64; 2]| Component {
            log_weight: weight.ln(),
            mean,
            deviation: [1.0, 0.5],
            correlation: 0.8,
        };
        PointDistribution {
            components: vec![component(0.2, [-50.0, 0.0]), component(0.8, [50.0, 2.0])],
            log_pens: [0.5f64, 0.3, 0.2].map(f64::ln),
        }
    }

    fn steps(temperature: f64) -> Vec<Step> {
        let key = Key::new(1, Purpose::Generation);
        (0..20_000).map(|number| sample(&distribution(), temperature, key.with_first(number))).collect()
    }

    #[test]
    fn indices_are_chosen_by_probability() {
        let logs = [0.2f64, 0.5, 0.3].map(f64::ln);
        assert_eq!([0.0, 0.19, 0.21, 0.69, 0.71, 0.999].map(|draw| choose(&logs, 1.0, draw)), [0, 0, 1, 1, 2, 2]);
        assert_eq!([0.0, 0.999].map(|draw| choose(&logs, 0.0, draw)), [1, 1]);
        assert_eq!([0.01, 0.9].map(|draw| choose(&logs, 0.1, draw)), [1, 1], "low temperatures prefer the largest");
        assert_eq!(choose(&[1.0, 1.0], 0.0, 0.9), 0);
    }

    #[test]
    fn samples_have_the_moments_of_the_distribution() {
        let steps = steps(1.0);
        let right: Vec<[f64; 2]> = steps
            .iter()
            .filter(|step| step.offset[0] > 0.0)
            .map(|step| [f64::from(step.offset[0]) - 50.0, f64::from(step.offset[1]) - 2.0])
            .collect();
        let count = right.len() as f64;
        let mean = |value: &dyn Fn(&[f64; 2]) -> f64| right.iter().map(value).sum::<f64>() / count;
        for (found, expected) in [
            (count / steps.len() as f64, 0.8),
            (mean(&|[x, _]| *x), 0.0),
            (mean(&|[x, _]| x * x), 1.0),
            (mean(&|[_, y]| y * y), 0.25),
            (mean(&|[x, y]| x * y), 0.8 * 0.5),
            (steps.iter().filter(|step| step.pen == Pen::Lifted).count() as f64 / steps.len() as f64, 0.3),
        ] {
            assert!((found - expected).abs() < 0.03, "{found} is not {expected}");
        }
    }

    #[test]
    fn temperature_scales_variances_and_zero_takes_the_most_probable() {
        let variance = |temperature: f64| {
            let squares: Vec<f64> = steps(temperature)
                .iter()
                .filter(|step| step.offset[0] > 0.0)
                .map(|step| (f64::from(step.offset[0]) - 50.0).powi(2))
                .collect();
            squares.iter().sum::<f64>() / squares.len() as f64
        };
        assert!((variance(0.25) - 0.25).abs() < 0.02 && (variance(2.0) - 2.0).abs() < 0.1);
        assert!(steps(0.0).iter().all(|step| *step == Step { offset: [50.0, 2.0], pen: Pen::Down }));
    }
}
