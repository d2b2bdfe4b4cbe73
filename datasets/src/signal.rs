//! Series of one or several channels, and their standardization.

/// A series of one or several channels, in steps of equal length.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    channels: usize,
    /// `[steps, channels]`
    values: Vec<f32>,
}

impl Signal {
    /// A series from its values, `[steps, channels]`.
    ///
    /// # Panics
    /// If there are no channels, or the last step is incomplete.
    pub fn new(channels: usize, values: Vec<f32>) -> Self {
        assert!(channels > 0 && values.len().is_multiple_of(channels), "{} values, {channels} channels", values.len());
        Self { channels, values }
    }

    /// Parses a series: the values of a channel are separated by commas, channels by colons, as in `0.5,0.7:1,2`.
    ///
    /// # Errors
    /// A message with the problem and the fix.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::of_channels(text.split(':').enumerate().map(|(index, channel)| {
            let value = |(step, value): (usize, &str)| {
                let value = value.trim();
                let place = || format!("step {} of channel {}", step + 1, index + 1);
                match value.parse::<f32>() {
                    _ if value.is_empty() || value == "?" || value.eq_ignore_ascii_case("nan") => {
                        Err(format!("the value of {} is missing; fill it in or remove the series", place()))
                    }
                    Ok(number) if number.is_finite() => Ok(number),
                    _ => Err(format!("{value:?} at {} is not a finite number such as -20.7", place())),
                }
            };
            channel.split(',').enumerate().map(value).collect()
        }))
    }

    /// A series from the values of each channel.
    fn of_channels(channels: impl Iterator<Item = Result<Vec<f32>, String>>) -> Result<Self, String> {
        let channels = channels.collect::<Result<Vec<_>, _>>()?;
        let steps = channels[0].len();
        if let Some(other) = channels.iter().position(|channel| channel.len() != steps) {
            let found = channels[other].len();
            return Err(format!(
                "channel {} has {found} steps, but channel 1 has {steps}; resample one of them",
                other + 1
            ));
        }
        let values = (0..steps).flat_map(|step| channels.iter().map(move |channel| channel[step])).collect();
        Ok(Self { channels: channels.len(), values })
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Number of steps.
    pub fn len(&self) -> usize {
        self.values.len() / self.channels
    }

    /// Whether there are no steps.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The values, `[steps, channels]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

/// The text that [`Signal::parse`] reads.
impl std::fmt::Display for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for channel in 0..self.channels {
            for step in 0..self.len() {
                let before = match (step, channel) {
                    (0, 0) => "",
                    (0, _) => ":",
                    _ => ",",
                };
                write!(f, "{before}{}", self.values[step * self.channels + channel])?;
            }
        }
        Ok(())
    }
}

/// Standardization of each channel to mean 0 and standard deviation 1 over the training split.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// Mean of each channel.
    pub means: Vec<f32>,
    /// Standard deviation of each channel; 1 for constant channels.
    pub std: Vec<f32>,
}

impl Scaling {
    /// No change of `channels` channels.
    pub fn none(channels: usize) -> Self {
        Self { means: vec![0.0; channels], std: vec![1.0; channels] }
    }

    /// Fits the scaling to series.
    pub fn fit<'a>(channels: usize, series: impl Iterator<Item = &'a Signal> + Clone) -> Self {
        let steps = series.clone().map(Signal::len).sum::<usize>().max(1) as f64;
        let sum = |center: &[f64], power: i32| {
            let mut sums = vec![0.0f64; channels];
            for step in series.clone().flat_map(|signal| signal.values().chunks_exact(channels)) {
                for ((sum, &value), center) in sums.iter_mut().zip(step).zip(center) {
                    *sum += (f64::from(value) - center).powi(power);
                }
            }
            sums.into_iter().map(|sum| sum / steps).collect::<Vec<f64>>()
        };
        let means = sum(&vec![0.0; channels], 1);
        let variances = sum(&means, 2);
        // Variation by rounding is none.
        let std = |(mean, variance): (&f64, f64)| match variance.sqrt() > 1e-6 * mean.abs() && variance > 0.0 {
            true => variance.sqrt() as f32,
            false => 1.0,
        };
        let std = means.iter().zip(variances).map(std).collect();
        Self { means: means.iter().map(|&mean| mean as f32).collect(), std }
    }

    /// The same scaling of all channels: by their mean and deviation together.
    pub fn fit_together<'a>(channels: usize, series: impl Iterator<Item = &'a Signal> + Clone) -> Self {
        let flat: Vec<Signal> = series.map(|signal| Signal { channels: 1, values: signal.values.clone() }).collect();
        let Self { means, std } = Self::fit(1, flat.iter());
        Self { means: vec![means[0]; channels], std: vec![std[0]; channels] }
    }

    /// The standardized series.
    pub fn apply(&self, signal: &Signal) -> Signal {
        let channels = self.means.iter().zip(&self.std).cycle();
        let values = signal.values.iter().zip(channels).map(|(value, (mean, std))| (value - mean) / std).collect();
        Signal { channels: signal.channels, values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn signal(text: &str) -> Signal {
        Signal::parse(text).unwrap()
    }

    #[test]
    fn series_are_parsed_by_channel_and_stored_by_step() {
        let parsed = signal(" 1, 2 ,3:-4,5e-1,6");
        assert_eq!((parsed.channels(), parsed.len()), (2, 3));
        assert_eq!(parsed.values(), [1.0, -4.0, 2.0, 0.5, 3.0, 6.0]);
        for (text, part) in [
            ("1,2:3", "channel 2 has 1 steps, but channel 1 has 2"),
            ("1,,2", "step 2 of channel 1 is missing"),
            ("1:?", "step 1 of channel 2 is missing"),
            ("", "step 1 of channel 1 is missing"),
            ("1,x", "\"x\" at step 2 of channel 1"),
            ("1e99", "not a finite number"),
        ] {
            let error = Signal::parse(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    proptest! {
        #[test]
        fn the_text_of_a_series_is_that_series(values in prop::collection::vec(-1e9..1e9f32, 1..20), channels in 1..3usize) {
            let steps = values.len() / channels;
            prop_assume!(steps > 0);
            let signal = Signal::new(channels, values[..steps * channels].to_vec());
            prop_assert_eq!(Signal::parse(&signal.to_string()).unwrap(), signal);
        }

        #[test]
        fn scaling_standardizes_each_channel(values in prop::collection::vec(-1e3..1e3f32, 4..40), shift in -100.0..100.0f32) {
            let steps = values.len() / 2;
            let values: Vec<f32> = values[..2 * steps].chunks_exact(2).flat_map(|pair| [pair[0], pair[1] * 10.0 + shift]).collect();
            let signal = Signal::new(2, values);
            let scaled = Scaling::fit(2, std::iter::once(&signal)).apply(&signal);
            for channel in 0..2 {
                let column: Vec<f64> = scaled.values().iter().skip(channel).step_by(2).map(|&value| value.into()).collect();
                let mean = column.iter().sum::<f64>() / column.len() as f64;
                let variance = column.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / column.len() as f64;
                prop_assert!(mean.abs() < 1e-2 && (variance - 1.0).abs() < 1e-2, "{} {}", mean, variance);
            }
        }
    }

    #[test]
    fn constant_channels_are_shifted_only() {
        let constant = signal("5,5,5:1,2,3");
        let scaling = Scaling::fit(2, std::iter::once(&constant));
        assert_eq!((scaling.means[0], scaling.std[0]), (5.0, 1.0));
        assert_eq!(scaling.apply(&constant).values()[0], 0.0);
        let together = Scaling::fit_together(2, std::iter::once(&constant));
        assert_eq!((together.means[0], together.means[0]), (together.means[1], 3.5));
    }
}
