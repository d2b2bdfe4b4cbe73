//! Datasets for captioning: images, each with a text that describes it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::DataError;
use crate::cleaning::Cleaning;
use crate::data_spec::{Content, DataSpec, Role};
use crate::digest::Digest;
use crate::image::Image;
use crate::records::{Records, Split};
use crate::scene::{Attribute, Description, SIDE, Scene};
use crate::scores::{Evaluation, Group, Metric, Scores, metrics};
use crate::split_rule::SplitRule;
use crate::splits::Splits;
use crate::transduction::{self, Measure};

/// Data for captioning.
pub static DATA: DataSpec = DataSpec {
    task: "captions",
    roles: &[
        Role::required(
            "image",
            // Of several captions of an image, all are in the same split.
            Content::Text,
            "Column of the images: names of PNG files, relative to the folder of the table.",
        ),
        Role::required("caption", Content::Text, "Column of the captions."),
        Role::GROUPS,
    ],
    fields: &[],
    default_format: Some("csv"),
    default_split: SplitRule::SYSTEMATIC,
    split_rules: &["systematic", "folds", "shuffle", "rows", "every"],
    split_note: "whole images are assigned to splits",
};

metrics! {
    /// Share of the shapes in the references that are predicted: the n-th shape of a prediction is compared with the n-th one of its reference.
    /// Only for captions of scenes.
    pub const SHAPE_ACCURACY = Higher("shape-accuracy", "");

    /// Likewise, share of the colors.
    pub const COLOR_ACCURACY = Higher("color-accuracy", "");

    /// Likewise, share of the sizes.
    pub const SIZE_ACCURACY = Higher("size-accuracy", "");

    /// Likewise, share of the relations between consecutive objects, such as "left of".
    pub const RELATION_ACCURACY = Higher("relation-accuracy", "");
}

/// The metric of an attribute.
fn accuracy(attribute: Attribute) -> Metric {
    match attribute {
        Attribute::Shape => SHAPE_ACCURACY,
        Attribute::Color => COLOR_ACCURACY,
        Attribute::Size => SIZE_ACCURACY,
        Attribute::Relation => RELATION_ACCURACY,
    }
}

/// Maximum height and width of images: each row is a step of a recurrent network, with three features per column.
pub const MAX_SIDE: usize = 512;

/// An image of a dataset.
#[derive(Debug, Clone, PartialEq)]
pub enum Picture {
    /// A scene, which is rendered when its image is needed: the text takes a hundredth of the memory.
    Scene(Scene),
    /// The image of a file.
    Image(Arc<Image>),
}

impl Picture {
    /// The image.
    pub fn image(&self) -> Cow<'_, Image> {
        match self {
            Self::Scene(scene) => Cow::Owned(scene.render()),
            Self::Image(image) => Cow::Borrowed(image),
        }
    }

    /// Height and width in pixels.
    pub fn size(&self) -> [usize; 2] {
        match self {
            Self::Scene(_) => [SIDE, SIDE],
            Self::Image(image) => image.size(),
        }
    }

    /// The picture of a row: generated rows contain the text of a scene, those of files the name of a PNG file.
    fn of_row(records: &Records, row: usize, text: &str) -> Result<Self, DataError> {
        let Some((file, _)) = records.place(row) else {
            return Scene::parse(text).map(Self::Scene).map_err(|detail| records.error(row, detail));
        };
        let image = Image::read(&file.parent().unwrap_or(Path::new("")).join(text.trim()));
        let image = image.map_err(|error| records.error(row, error))?;
        let [height, width] = image.size();
        if height.max(width) > MAX_SIDE {
            let problem = format!("{text}: {height} × {width} pixels, more than {MAX_SIDE}; scale the images down");
            return Err(records.error(row, problem));
        }
        Ok(Self::Image(Arc::new(image)))
    }
}

/// An image and its caption.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The image.
    pub picture: Picture,
    /// The caption.
    pub caption: Arc<str>,
    /// Groups for per-group metrics.
    pub groups: Arc<[Group]>,
}

/// A loaded dataset for captioning.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Captions {
    /// Height and width of every image, in pixels.
    pub size: [usize; 2],
    /// Training split.
    pub train: Vec<Example>,
    /// Validation split.
    pub validation: Vec<Example>,
    /// Test split; empty if its file is missing.
    pub test: Vec<Example>,
    /// Cleaning applied to the captions.
    pub cleaning: Cleaning,
}

impl Captions {
    /// Converts records, using the columns `image`, `caption` and `groups`; reads the images of files.
    ///
    /// # Errors
    /// If a column is missing, an image cannot be read, or the images differ in size.
    pub fn from_records(splits: &Splits) -> Result<Self, DataError> {
        let (image, caption) = (splits.columns.need("image")?, splits.columns.need("caption")?);
        let mut size = None;
        let mut examples = |records: &Records| {
            if records.is_empty() {
                return Ok(Vec::new());
            }
            let (images, captions) = (records.texts("image", image)?, records.texts("caption", caption)?);
            let groups = records.groups(splits.columns.several("groups"))?;
            let example = |row: usize| {
                let picture = Picture::of_row(records, row, &images[row])?;
                let [height, width] = *size.get_or_insert(picture.size());
                if picture.size() != [height, width] {
                    let [other_height, other_width] = picture.size();
                    let problem = format!("{}: {other_height} × {other_width} pixels", images[row]);
                    let fix = format!("but the first image has {height} × {width}; scale them to one size");
                    return Err(records.error(row, format!("{problem}, {fix}")));
                }
                Ok(Example { picture, caption: captions[row].clone(), groups: groups[row].clone() })
            };
            (0..records.len()).map(example).collect::<Result<Vec<_>, DataError>>()
        };
        let (train, validation, test) =
            (examples(&splits.train)?, examples(&splits.validation)?, examples(&splits.test)?);
        let cleaning = splits.cleaning.clone();
        Ok(Self { size: size.unwrap_or_default(), train, validation, test, cleaning })
    }

    /// The examples of a split.
    pub fn split(&self, split: Split) -> &[Example] {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    /// Evaluates the most frequent caption of the training split as every prediction.
    pub fn baselines(&self, split: Split, measure: &Measure) -> Vec<(&'static str, Evaluation)> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        self.train.iter().for_each(|example| *counts.entry(&example.caption).or_default() += 1);
        let Some((caption, _)) = counts.into_iter().max_by_key(|&(_, count)| count) else { return Vec::new() };
        let examples = self.split(split);
        let judged: Vec<Judged> =
            examples.iter().map(|example| Judged::new(measure, caption, &example.caption)).collect();
        let groups = examples.iter().map(|example| &*example.groups);
        vec![("most frequent caption", Evaluation::by_group(groups, |indices| scores(&judged, indices)))]
    }

    /// SHA-256 digest of the training and validation splits: equal digests mean equal training data.
    pub fn digest(&self) -> String {
        let mut digest = Digest::default();
        for split in [&self.train, &self.validation] {
            digest.number(split.len() as u64);
            for Example { picture, caption, .. } in split {
                match picture {
                    Picture::Scene(scene) => digest.text(&scene.to_string()),
                    Picture::Image(image) => digest.bytes(image.pixels().as_flattened()),
                }
                digest.text(caption);
            }
        }
        digest.finish()
    }
}

/// What the metrics need to know of a prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Exact match, edits and overlap.
    text: transduction::Judged,
    /// Of each attribute, the number of predicted words, and of words of the reference; `None` if that is no caption of a scene.
    attributes: Option<[(usize, usize); Attribute::ALL.len()]>,
}

impl Judged {
    /// Compares a predicted caption with its reference.
    pub fn new(measure: &Measure, predicted: &str, reference: &str) -> Self {
        let attribute = |attribute: Attribute| {
            let (predicted, reference) = (attribute.words(predicted), attribute.words(reference));
            let right = predicted.iter().zip(&reference).filter(|(one, other)| one == other).count();
            (right, reference.len())
        };
        let is_scene = Description::parse(reference).is_some();
        Self {
            text: measure.judge(predicted, &[reference]),
            attributes: is_scene.then(|| Attribute::ALL.map(attribute)),
        }
    }

    /// Whether the prediction equals the reference.
    pub fn is_correct(&self) -> bool {
        self.text.is_correct()
    }

    /// Edits to the reference.
    pub fn edits(&self) -> usize {
        self.text.edits()
    }
}

/// Metrics of the predictions at the given indices: exact match, overlap of texts; accuracy of the attributes of scenes, if all of the
/// references describe scenes.
pub fn scores(judged: &[Judged], indices: &mut dyn Iterator<Item = usize>) -> Scores {
    let judged: Vec<&Judged> = indices.map(|index| &judged[index]).collect();
    let texts: Vec<transduction::Judged> = judged.iter().map(|judged| judged.text.clone()).collect();
    let mut scores = transduction::scores(&texts, &mut (0..texts.len()));
    let attributes: Option<Vec<_>> = judged.iter().map(|judged| judged.attributes).collect();
    for (index, attribute) in Attribute::ALL.into_iter().enumerate() {
        let counts = attributes.iter().flatten().map(|counts| counts[index]);
        let (right, all) = counts.fold((0, 0), |sum, (right, all)| (sum.0 + right, sum.1 + all));
        if all > 0 {
            scores.insert(accuracy(attribute), right as f64 / all as f64);
        }
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scores::group;
    use crate::transduction::TOKEN_ERROR_RATE;
    use std::fs;

    const REFERENCE: &str = "a small red circle is left of a large blue square, which is above a small green cross";

    fn measured<T>(compute: impl FnOnce(&Measure) -> T) -> T {
        let tokens = |text: &str| crate::text::tokenize_words(text).collect();
        compute(&Measure { tokens: &tokens, is_language: true, is_words: false })
    }

    fn scored(predicted: &[&str]) -> Scores {
        let judged: Vec<Judged> =
            measured(|measure| predicted.iter().map(|text| Judged::new(measure, text, REFERENCE)).collect());
        scores(&judged, &mut (0..judged.len()))
    }

    #[test]
    fn attributes_are_compared_by_position() {
        // Right: two of three shapes, one of three colors, both relations; sizes are missing one, so the second one is compared with "large".
        let wrong = "a small blue circle is left of a blue square, which is above a small red square";
        let found = scored(&[wrong]);
        let metrics = [SHAPE_ACCURACY, COLOR_ACCURACY, SIZE_ACCURACY, RELATION_ACCURACY];
        let third = 1.0 / 3.0;
        assert_eq!(metrics.map(|metric| found.get(metric).unwrap()), [2.0 * third, third, third, 1.0]);
        // Two colors and a shape are replaced, and a size is missing: four of nineteen tokens.
        assert_eq!((found.get(Metric::ACCURACY), found.get(TOKEN_ERROR_RATE)), (Some(0.0), Some(4.0 / 19.0)));
        // Means are over attributes, not over captions; excess words change nothing.
        let both = scored(&[wrong, &format!("{REFERENCE}, which is above a large red circle")]);
        assert_eq!(both.get(COLOR_ACCURACY), Some(4.0 / 6.0));
        assert_eq!(scored(&[REFERENCE]).get(Metric::ACCURACY), Some(1.0));
    }

    #[test]
    fn attributes_are_those_of_scenes_only() {
        let judged = measured(|measure| [Judged::new(measure, "a red square", "a red house, left of a square")]);
        let found = scores(&judged, &mut (0..1));
        assert!(found.get(SHAPE_ACCURACY).is_none() && found.get(transduction::BLEU).is_some());
    }

    fn generated(caption: &str, kind: &str) -> Example {
        let scene = Scene::parse("shade 40, noise 7: small red circle at 12 22; large blue square at 45 30").unwrap();
        Example { picture: Picture::Scene(scene), caption: caption.into(), groups: [group("kind", kind)].into() }
    }

    #[test]
    fn the_most_frequent_caption_is_evaluated_per_group() {
        let data = Captions {
            train: ["a", "b", "b"].map(|caption| generated(caption, "x")).into(),
            test: vec![generated("b", "x"), generated("a", "y"), generated("b", "y")],
            ..Captions::default()
        };
        let (name, found) = measured(|measure| data.baselines(Split::Test, measure)).remove(0);
        let groups: Vec<_> = found.groups.iter().map(|(_, scores)| scores.get(Metric::ACCURACY).unwrap()).collect();
        assert_eq!((name, found.all.examples, groups), ("most frequent caption", 3, vec![1.0, 0.5]));
        assert!(measured(|measure| Captions::default().baselines(Split::Test, measure)).is_empty());
    }

    #[test]
    fn the_digest_covers_images_and_captions_but_not_the_test_split() {
        let digest = |train: Vec<Example>, test: Vec<Example>| Captions { train, test, ..Captions::default() }.digest();
        let (one, other) = (generated("a", "x"), generated("b", "x"));
        let image = |value: u8| Picture::Image(Arc::new(Image::new(1, vec![[value; 3]])));
        assert_eq!(digest(vec![one.clone()], vec![]), digest(vec![one.clone()], vec![other.clone()]));
        let different = [
            digest(vec![one.clone()], vec![]),
            digest(vec![other.clone()], vec![]),
            digest(vec![Example { picture: image(1), ..one.clone() }], vec![]),
            digest(vec![Example { picture: image(2), ..one }], vec![]),
        ];
        assert_eq!(different.iter().collect::<std::collections::HashSet<_>>().len(), 4);
    }

    /// The captions of a table in a folder with the images `a.png` (2 × 3 pixels), `b.png` (2 × 3) and `c.png` (3 × 2).
    fn loaded(table: &str) -> Result<Captions, String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, width) in [("a.png", 3), ("b.png", 3), ("c.png", 2)] {
            let image = Image::new(width, vec![[1, 2, 3]; 6]);
            fs::write(dir.path().join(name), image.to_png()).unwrap();
        }
        fs::write(dir.path().join("broken.png"), "GIF89a").unwrap();
        fs::write(dir.path().join("captions.csv"), format!("image,caption\n{table}")).unwrap();
        let settings: crate::settings::DataSettings =
            toml::from_str("train = \"captions.csv\"\nvalidation = \"captions.csv\"").unwrap();
        let loaded = settings.load(dir.path(), &DATA).and_then(|splits| Captions::from_records(&splits));
        loaded.map_err(|error| error.to_string())
    }

    #[test]
    fn images_are_read_next_to_their_table() {
        let data = loaded("a.png,\"one, two\"\nb.png,three\n").unwrap();
        assert_eq!((data.size, data.train.len(), &*data.train[0].caption), ([2, 3], 2, "one, two"));
        assert_eq!(data.train[1].picture.image().pixel(1, 2), [1, 2, 3]);
        for (table, parts) in [
            ("a.png,x\nd.png,y\n", ["captions.csv, line 3: cannot read", "d.png"]),
            ("a.png,x\nc.png,y\n", ["captions.csv, line 3: c.png: 3 × 2 pixels", "2 × 3; scale them to one size"]),
            ("broken.png,x\na.png,y\n", ["captions.csv, line 2: ", "broken.png: not a valid PNG file"]),
        ] {
            let error = loaded(table).unwrap_err();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }
}
