//! Scenes, generated: images of colored shapes, each with a sentence that describes it.
//!
//! An image of 64 × 64 pixels shows two to four objects of five shapes, six colors and two sizes on a gray background, with noise; objects may
//! cover up to half of each other. The caption lists the objects from top to bottom with their relations, and is determined by what is
//! visible; see [`Description`].
//!
//! A fifth of the pairs of color and shape, such as red circles, never occur in the training split. Half of the images of the validation and
//! of the test split contain at least one of these pairs, the other half none: compositional generalization.

use seqzoo_random::{IndexedRandom, Key, Purpose, Rng, RngExt};

use super::{Generate, Generator};
use crate::records::{Column, Records};
use crate::scene::{Color, Description, Object, Scene, Shape, Size};

/// The generator.
pub(super) static GENERATOR: Generator = Generator {
    name: "scenes",
    summary: "83,000 generated images of shapes, each with a sentence that describes it. Built in",
    example: "scenes/1.png",
    roles: &[("image", "scene"), ("caption", "caption")],
    groups: &GROUPS,
    labels: &[],
    baselines: &[],
    options: &[],
    generate: Generate::Fixed(generate),
};

const GROUPS: [&str; 2] = ["combination", "objects"];

/// Images of the training, validation and test split.
const IMAGES: [usize; 3] = [80_000, 1_000, 2_000];

/// Random seed of the scenes; the seed of a run does not affect them.
const SEED: u64 = 2016;

/// Numbers of objects.
const OBJECTS: std::ops::RangeInclusive<usize> = 2..=4;

/// Gray values of the background.
const SHADES: std::ops::Range<u8> = 20..120;

/// Whether a pair of color and shape occurs in the validation and test splits only: one shape of each color.
fn is_held_out(color: Color, shape: Shape) -> bool {
    color as usize % Shape::ALL.len() == shape as usize
}

/// The training, validation and test split.
fn generate() -> [Records; 3] {
    let mut splits = (0..).zip(IMAGES);
    [(); 3].map(|()| {
        let (split, images) = splits.next().expect("three splits");
        records((0..images as u64).map(|index| scene(split, index)))
    })
}

/// A scene as a function of its split and its index. Every second scene of the validation and test splits has a held-out pair.
fn scene(split: u64, index: u64) -> Scene {
    let mut rng = Key::new(SEED, Purpose::Data).with_first(split).example_stream(index);
    let has_held_out = split > 0 && index % 2 == 1;
    let count = rng.random_range(OBJECTS);
    loop {
        let held_out = has_held_out.then(|| rng.random_range(0..count));
        let objects = (0..count).map(|object| draw(&mut rng, has_held_out, held_out == Some(object))).collect();
        let scene = Scene { shade: rng.random_range(SHADES), noise: rng.random(), objects };
        if scene.is_clear() {
            return scene;
        }
    }
}

/// Draws an object whose pair of color and shape must be a held-out one, may be one, or must not be one.
fn draw(rng: &mut impl Rng, may_be_held_out: bool, is_needed: bool) -> Object {
    let (color, shape) = loop {
        let (color, shape) = (one_of(rng, &Color::ALL), one_of(rng, &Shape::ALL));
        let is_valid =
            if is_needed { is_held_out(color, shape) } else { may_be_held_out || !is_held_out(color, shape) };
        if is_valid {
            break (color, shape);
        }
    };
    let size = one_of(rng, &Size::ALL);
    let [x, y] = [(); 2].map(|()| rng.random_range(Object::positions(size)));
    Object { shape, color, size, x, y }
}

fn one_of<T: Copy>(rng: &mut impl Rng, values: &[T]) -> T {
    *values.choose(rng).expect("there are values")
}

fn records(scenes: impl Iterator<Item = Scene>) -> Records {
    let (mut texts, mut captions, mut groups) = (Vec::new(), Vec::new(), GROUPS.map(|_| Vec::new()));
    for scene in scenes {
        let description = Description::of(&scene.objects).expect("a clear scene has a caption");
        let is_seen = description.phrases.iter().all(|phrase| !is_held_out(phrase.color, phrase.shape));
        let of_scene = [if is_seen { "seen" } else { "held out" }.to_owned(), scene.objects.len().to_string()];
        groups.iter_mut().zip(of_scene).for_each(|(groups, group)| groups.push(group));
        texts.push(scene.to_string());
        captions.push(description.to_string());
    }
    let groups = GROUPS.into_iter().zip(groups.map(Column::text));
    Records::new([("scene", Column::text(texts)), ("caption", Column::text(captions))].into_iter().chain(groups))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captions::{Captions, Example, Picture};
    use crate::records::Split;
    use crate::scene::Phrase;
    use std::collections::HashSet;
    use std::sync::LazyLock;

    /// Generated once for all tests.
    static ALL: LazyLock<Captions> =
        LazyLock::new(|| Captions::from_records(&GENERATOR.splits(&toml::Table::new()).unwrap()).unwrap());

    fn scene_of(example: &Example) -> &Scene {
        let Picture::Scene(scene) = &example.picture else { panic!("generated images are scenes") };
        scene
    }

    fn group<'a>(example: &'a Example, kind: &str) -> &'a str {
        &example.groups.iter().find(|(name, _)| &**name == kind).unwrap().1
    }

    fn has_held_out(description: &Description) -> bool {
        description.phrases.iter().any(|&Phrase { color, shape, .. }| is_held_out(color, shape))
    }

    #[test]
    fn captions_and_groups_say_what_the_scenes_show() {
        for example in Split::ALL.into_iter().flat_map(|split| ALL.split(split)) {
            let scene = scene_of(example);
            assert!(scene.is_clear(), "{scene}");
            assert_eq!(Scene::parse(&scene.to_string()).as_ref(), Ok(scene));
            let description = Description::parse(&example.caption).unwrap();
            assert_eq!(Some(&description), Description::of(&scene.objects).as_ref());
            assert_eq!(group(example, "objects"), description.phrases.len().to_string());
            assert_eq!(group(example, "combination") == "held out", has_held_out(&description));
        }
    }

    #[test]
    fn held_out_pairs_occur_in_half_of_the_reported_splits_and_never_in_training() {
        for (split, images, held_out) in
            [(Split::Train, 80_000, 0), (Split::Validation, 1_000, 500), (Split::Test, 2_000, 1_000)]
        {
            let examples = ALL.split(split);
            let found = examples.iter().filter(|example| group(example, "combination") == "held out").count();
            assert_eq!((examples.len(), found), (images, held_out));
        }
        let pairs = |examples: &[Example]| -> HashSet<(Color, Shape)> {
            examples.iter().flat_map(|example| &scene_of(example).objects).map(|it| (it.color, it.shape)).collect()
        };
        assert_eq!((pairs(&ALL.train).len(), pairs(&ALL.test).len()), (24, 30));
    }

    #[test]
    fn scenes_are_distinct_varied_and_a_function_of_split_and_index() {
        let all: Vec<&Example> = Split::ALL.into_iter().flat_map(|split| ALL.split(split)).collect();
        assert_eq!(all.iter().map(|example| scene_of(example)).collect::<HashSet<_>>().len(), all.len());
        assert_eq!(scene_of(&ALL.test[17]), &scene(2, 17));
        let share = |is_counted: &dyn Fn(&Scene) -> bool| {
            ALL.train.iter().filter(|example| is_counted(scene_of(example))).count() as f64 / ALL.train.len() as f64
        };
        for count in OBJECTS {
            let found = share(&|scene| scene.objects.len() == count);
            assert!((0.31..0.36).contains(&found), "{found} have {count} objects");
        }
        let occluded = share(&|scene| scene.visibility().iter().any(|(visible, all)| visible < all));
        assert!((0.2..0.6).contains(&occluded), "{occluded}");
        for word in ["left of", "right of", "above"] {
            let found = ALL.train.iter().filter(|example| example.caption.contains(word)).count();
            assert!(found > 8_000, "{word}: {found}");
        }
    }
}
