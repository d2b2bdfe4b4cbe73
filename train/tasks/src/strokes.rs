//! Pen drawings: handwriting, sketches, any trajectories, predicted point by point.

mod predict;
mod sampling;
mod settings;
mod training;

use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_datasets::DataError;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::drawing::{Drawing, Step};
use seqzoo_datasets::drawings::{self, Drawings, NLL_PER_POINT, OFFSET_NLL, PEN_NLL};
use seqzoo_datasets::scores::Metric;
use seqzoo_datasets::splits::Splits;
use seqzoo_models::InvalidShape;
use seqzoo_models::networks::{POINT_FEATURES, Trajectory, TrajectoryShape};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::skipped::joined;
use crate::{
    Command, DynTrainingTask, Examples, InvalidValue, Item, ModelSpec, Prepared, Task, fields, open, resolve,
    vocabularies,
};
pub use predict::StrokesModel;
pub use settings::Settings;
pub use training::StrokesTraining;

/// Pen drawings: the next point of a drawing, and new drawings.
pub static TASK: Task = Task {
    data: &drawings::DATA,
    summary: "the next point of a pen drawing, such as handwriting or a sketch",
    metrics: &[NLL_PER_POINT, OFFSET_NLL, PEN_NLL, Metric::LOSS],
    command: Command::Generate,
    shared: &["max_points"],
    averages: false,
    resolve: resolve::<Settings>,
    fields: fields::of::<Settings>,
    check,
    examples: prepare,
    vocabularies: vocabularies::<Codec>,
    open: open::<Codec>,
};

fn check(spec: &ModelSpec) -> Result<(), InvalidValue> {
    spec.check_recurrent(Some(POINT_FEATURES))?;
    shape(spec).check().map_err(|invalid| match invalid.field.as_str() {
        "stack.architecture" => InvalidValue::new("models", &spec.name, invalid.reason),
        _ => InvalidValue::new("network.hidden_sizes", format!("{:?}", spec.network.hidden_sizes), invalid.reason),
    })
}

fn shape(spec: &ModelSpec) -> TrajectoryShape {
    let Settings { mixtures, .. } = spec.settings();
    TrajectoryShape { stack: spec.stack(POINT_FEATURES), mixtures, dropout: spec.dropout.output }
}

fn prepare(data: &Splits, settings: &Table) -> Result<Prepared, DataError> {
    let Settings { max_points, .. } = crate::spec::settings(settings);
    let mut data = Drawings::from_records(data, max_points)?;
    let note = joined(std::mem::take(&mut data.notes).into_iter().map(Some));
    Ok(Prepared { examples: Box::new(data), note })
}

impl Examples for Drawings {
    fn digest(&self) -> String {
        Drawings::digest(self)
    }

    fn size(&self, split: Split) -> (usize, &'static str) {
        (self.split(split).len(), "drawings")
    }

    /// One item per drawing, whose tokens are its points.
    fn items(&self, split: Split, _: &Table) -> Vec<Item> {
        let item = |example: &drawings::Example| Item {
            text: String::new(),
            tokens: example.drawing.strokes().iter().flatten().map(|[x, y]| format!("{x},{y}")).collect(),
            labels: Some(example.word.to_string()).filter(|word| !word.is_empty()).into_iter().collect(),
        };
        self.split(split).iter().map(item).collect()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![("unit of length (standard deviation of dx and dy)", format!("{:.4}", self.scale()))]
    }

    fn training(&self, spec: &ModelSpec) -> Result<Box<dyn DynTrainingTask>, InvalidShape> {
        Ok(Box::new(StrokesTraining::new(spec, self)?))
    }

    fn output_flag(&self) -> Option<&'static str> {
        Some("--svg drawings.svg")
    }
}

/// The unit of length of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// Standard deviation of dx and dy of the training split together, by which offsets are divided.
    pub scale: f32,
}

impl crate::Codec for Codec {
    type Network = Trajectory;

    fn check(&self, spec: &ModelSpec) -> Result<(), InvalidShape> {
        if !(self.scale.is_finite() && self.scale > 0.0) {
            return Err(InvalidShape::new("scale", format!("expected a positive number, got {}", self.scale)));
        }
        shape(spec).check()
    }

    fn network(&self, spec: &ModelSpec, device: &Device) -> Trajectory {
        Trajectory::new(shape(spec), spec.seed, device)
    }
}

/// Input features of a point: its offset from the previous one in units of the training split, and the one-hot state of the pen.
type Point = [f32; POINT_FEATURES];

impl Codec {
    /// The features of the points of a drawing, the first of which has no offset.
    fn encode(&self, drawing: &Drawing) -> Vec<Point> {
        let start = Step { offset: [0.0; 2], pen: drawing.start() };
        let scaled =
            |Step { offset, pen }: Step| features(Step { offset: offset.map(|value| value / self.scale), pen });
        std::iter::once(start).chain(drawing.steps()).map(scaled).collect()
    }
}

/// The features of the point after a step in units of the training split.
fn features(Step { offset: [dx, dy], pen }: Step) -> Point {
    let mut point = [dx, dy, 0.0, 0.0, 0.0];
    point[2 + pen as usize] = 1.0;
    point
}

/// A batch of drawings.
struct Batch {
    /// Every point but the last, `[batch, time, 5]`, zero at padding.
    points: Tensor<3>,
    /// The point after each of them, likewise.
    next: Tensor<3>,
    /// Number of points of each drawing, the last one excluded.
    lengths: Vec<usize>,
}

impl Batch {
    fn new<'a>(drawings: impl Iterator<Item = &'a [Point]> + Clone, device: &Device) -> Self {
        let lengths: Vec<usize> = drawings.clone().map(|points| points.len() - 1).collect();
        let time = lengths.iter().copied().max().unwrap_or(0);
        let padded = |from: usize| {
            let mut values: Vec<f32> = Vec::with_capacity(lengths.len() * time * POINT_FEATURES);
            for (points, length) in drawings.clone().zip(&lengths) {
                values.extend(points[from..from + length].iter().flatten());
                values.resize(values.len() + (time - length) * POINT_FEATURES, 0.0);
            }
            Tensor::from_data(TensorData::new(values, [lengths.len(), time, POINT_FEATURES]), device)
        };
        Self { points: padded(0), next: padded(1), lengths }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_spec;
    use seqzoo_kernels::devices;

    #[test]
    fn points_are_offsets_in_the_unit_of_the_training_split_and_padded_with_zeros() {
        let codec = Codec { scale: 2.0 };
        let [long, short] = ["1,1;2,3 2,4", "0,0 4,0"].map(|text| codec.encode(&Drawing::parse(text).unwrap()));
        assert_eq!(long, [[0.0, 0.0, 0.0, 1.0, 0.0], [0.5, 1.0, 1.0, 0.0, 0.0], [0.0, 0.5, 0.0, 0.0, 1.0]]);
        let device = devices().remove(0).1;
        let Batch { points, next, lengths } = Batch::new([&*long, &*short].into_iter(), &device);
        assert_eq!((points.dims(), lengths.as_slice()), ([2, 2, POINT_FEATURES], &[2, 1][..]));
        let next = next.try_into_vec_as::<f32>().unwrap();
        assert_eq!(next[..10], [long[1], long[2]].concat());
        assert_eq!(next[10..], [short[1], [0.0; POINT_FEATURES]].concat());
    }

    #[test]
    fn models_that_would_see_the_next_point_and_damaged_codecs_are_refused() {
        let error = ModelSpec::new("bilstm-8", &TASK, Table::new()).unwrap_err().to_string();
        assert!(error.contains("models = bilstm-8") && error.contains("bidirectional"), "{error}");
        let spec = test_spec("strokes", "", "lstm-8");
        for (scale, is_valid) in [(2.0, true), (0.0, false), (f32::NAN, false)] {
            assert_eq!(crate::Codec::check(&Codec { scale }, &spec).is_ok(), is_valid, "{scale}");
        }
        for settings in ["mixtures = 0", "max_points = 1", "augment = 1.0", "augment = -0.1"] {
            assert!(ModelSpec::new("lstm-8", &TASK, settings.parse().unwrap()).is_err(), "{settings}");
        }
    }
}
