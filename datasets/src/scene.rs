//! Scenes: colored shapes on a gray background, as images and as captions.

use seqzoo_random::{Key, Purpose, Rng};

use crate::image::{Image, Rgb};

/// Declares an enumeration of values, each with its word in captions.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident: $($value:ident = $word:literal),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $(#[doc = $word] $value,)+
        }

        impl $name {
            /// Every value.
            pub const ALL: [Self; [$($word),+].len()] = [$(Self::$value),+];

            /// The word in captions.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$value => $word,)+
                }
            }

            /// The value with this word.
            pub fn of_word(word: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|value| value.word() == word)
            }
        }
    };
}

mod caption;

pub use caption::{Attribute, Description, Phrase, Relation};

/// Height and width of the images, in pixels.
pub const SIDE: usize = 64;

/// Maximum difference between a channel of a pixel and its value without noise.
const NOISE: i32 = 20;

/// A scene as text.
const EXAMPLE: &str = "shade 40, noise 7: small red circle at 12 22; large blue square at 45 30";

/// Seed of the noise; the noise of a scene is a function of its number.
const SEED: u64 = 2015;

words! {
    /// Shape of an object.
    Shape: Circle = "circle", Square = "square", Triangle = "triangle", Cross = "cross", Diamond = "diamond"
}

words! {
    /// Color of an object.
    Color: Red = "red", Green = "green", Blue = "blue", Yellow = "yellow", Purple = "purple", Cyan = "cyan"
}

words! {
    /// Size of an object.
    Size: Small = "small", Large = "large"
}

impl Color {
    fn rgb(self) -> Rgb {
        match self {
            Self::Red => [225, 45, 40],
            Self::Green => [45, 170, 60],
            Self::Blue => [45, 85, 225],
            Self::Yellow => [240, 220, 50],
            Self::Purple => [170, 60, 200],
            Self::Cyan => [60, 210, 220],
        }
    }
}

impl Size {
    /// Maximum distance of a pixel from the center, horizontally and vertically.
    pub fn radius(self) -> i32 {
        match self {
            Self::Small => 6,
            Self::Large => 11,
        }
    }
}

/// An object of a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Object {
    /// Its shape.
    pub shape: Shape,
    /// Its color.
    pub color: Color,
    /// Its size.
    pub size: Size,
    /// Column of the center.
    pub x: i32,
    /// Row of the center.
    pub y: i32,
}

impl Object {
    /// The range of positions at which an object of this size is inside the image, with a margin of one pixel.
    pub fn positions(size: Size) -> std::ops::Range<i32> {
        size.radius() + 1..SIDE as i32 - size.radius() - 1
    }

    /// Whether the shape covers a pixel, given relative to the center. Shapes are drawn with integers, hence the same on every machine.
    fn covers(&self, x: i32, y: i32) -> bool {
        let (x, r) = (x.abs(), self.size.radius());
        match self.shape {
            Shape::Circle => x * x + y * y <= r * r,
            Shape::Square => 8 * x.max(y.abs()) <= 7 * r,
            Shape::Triangle => 5 * y <= 4 * r && 2 * x <= y + r + r / 6,
            Shape::Cross => 3 * x.min(y.abs()) <= r,
            Shape::Diamond => x + y.abs() <= r,
        }
    }

    /// The indices of the pixels that the shape covers, row by row.
    fn pixels(&self) -> impl Iterator<Item = usize> {
        let r = self.size.radius();
        let square = (-r..=r).flat_map(move |y| (-r..=r).map(move |x| (x, y)));
        let inside = |x: i32, y: i32| (0..SIDE as i32).contains(&x) && (0..SIDE as i32).contains(&y);
        let covered = square.filter(move |&(x, y)| self.covers(x, y) && inside(self.x + x, self.y + y));
        covered.map(move |(x, y)| (self.y + y) as usize * SIDE + (self.x + x) as usize)
    }

    /// Whether the bounding squares of two objects have no pixel and no edge in common.
    fn is_apart(&self, other: &Self) -> bool {
        (self.x - other.x).abs().max((self.y - other.y).abs()) > self.size.radius() + other.size.radius() + 1
    }
}

/// A scene; it determines the image and the caption.
///
/// ```
/// use seqzoo_datasets::scene::{Description, Scene};
///
/// let scene = Scene::parse("shade 40, noise 7: large blue square at 45 30; small red circle at 12 22").unwrap();
/// let caption = Description::of(&scene.objects).unwrap().to_string();
/// assert_eq!(caption, "a small red circle is left of a large blue square");
/// assert_eq!(scene.render().size(), [64, 64]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scene {
    /// Gray value of the background.
    pub shade: u8,
    /// Number of the noise.
    pub noise: u32,
    /// The objects; later ones cover earlier ones.
    pub objects: Vec<Object>,
}

impl Scene {
    /// Parses the text of a scene.
    ///
    /// # Errors
    /// A message with the problem and the form that is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::parsed(text).ok_or_else(|| format!("{text:?} is not a scene such as {EXAMPLE:?}"))
    }

    fn parsed(text: &str) -> Option<Self> {
        let (background, objects) = text.split_once(": ")?;
        let (shade, noise) = background.strip_prefix("shade ")?.split_once(", noise ")?;
        let object = |text: &str| {
            let [size, color, shape, "at", x, y] = text.split(' ').collect::<Vec<_>>()[..] else { return None };
            let (size, color, shape) = (Size::of_word(size)?, Color::of_word(color)?, Shape::of_word(shape)?);
            let position = |text: &str| text.parse().ok().filter(|at| Object::positions(size).contains(at));
            Some(Object { shape, color, size, x: position(x)?, y: position(y)? })
        };
        let objects = objects.split("; ").map(object).collect::<Option<_>>()?;
        Some(Self { shade: shade.parse().ok()?, noise: noise.parse().ok()?, objects })
    }

    /// The image of the scene, [`SIDE`] pixels high and wide.
    pub fn render(&self) -> Image {
        let mut pixels = vec![[self.shade; 3]; SIDE * SIDE];
        for object in &self.objects {
            object.pixels().for_each(|pixel| pixels[pixel] = object.color.rgb());
        }
        let mut noise = vec![[0u8; 3]; SIDE * SIDE];
        let key = Key::new(SEED, Purpose::Data).offset(1);
        key.example_stream(self.noise.into()).fill_bytes(noise.as_flattened_mut());
        for (value, noise) in pixels.as_flattened_mut().iter_mut().zip(noise.as_flattened()) {
            let noise = i32::from(*noise) * (2 * NOISE + 1) / 256 - NOISE;
            *value = (i32::from(*value) + noise).clamp(0, 255) as u8;
        }
        Image::new(SIDE, pixels)
    }

    /// Number of visible pixels of each object, and of all of its pixels.
    pub fn visibility(&self) -> Vec<(usize, usize)> {
        let mut top = vec![usize::MAX; SIDE * SIDE];
        for (index, object) in self.objects.iter().enumerate() {
            object.pixels().for_each(|pixel| top[pixel] = index);
        }
        let of_object = |(index, object): (usize, &Object)| {
            object.pixels().fold((0, 0), |(visible, all), pixel| (visible + usize::from(top[pixel] == index), all + 1))
        };
        self.objects.iter().enumerate().map(of_object).collect()
    }

    /// Whether the image shows what the caption says: at least half of each object is visible, objects of the same color are apart, and the
    /// caption is determined by clear margins.
    pub fn is_clear(&self) -> bool {
        let are_apart = |(index, object): (usize, &Object)| {
            self.objects[..index].iter().all(|other| other.color != object.color || other.is_apart(object))
        };
        Description::of(&self.objects).is_some()
            && self.objects.iter().enumerate().all(are_apart)
            && self.visibility().into_iter().all(|(visible, all)| 2 * visible >= all)
    }
}

/// The text that [`Scene::parse`] reads.
impl std::fmt::Display for Scene {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "shade {}, noise {}", self.shade, self.noise)?;
        for (index, Object { shape, color, size, x, y }) in self.objects.iter().enumerate() {
            let before = if index == 0 { ": " } else { "; " };
            write!(f, "{before}{} {} {} at {x} {y}", size.word(), color.word(), shape.word())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(objects: &str) -> Scene {
        Scene::parse(&format!("shade 40, noise 7: {objects}")).unwrap()
    }

    #[test]
    fn the_text_of_a_scene_is_that_scene() {
        let text = "shade 40, noise 7: small red circle at 12 33; large blue square at 40 50";
        let parsed = Scene::parse(text).unwrap();
        assert_eq!((parsed.to_string(), parsed.objects.len()), (text.to_owned(), 2));
        for wrong in [
            "",
            "x.png",
            "shade 40, noise 7: ",
            "shade 400, noise 7: small red circle at 12 33",
            &text[..text.len() - 2],
        ] {
            assert!(Scene::parse(wrong).unwrap_err().contains("is not a scene such as"), "{wrong}");
        }
        assert!(Scene::parse("shade 1, noise 2: large red circle at 11 33").is_err(), "outside of the image");
    }

    #[test]
    fn shapes_have_their_geometry() {
        let area = |shape: Shape, size: Size| {
            let object = Object { shape, color: Color::Red, size, x: 30, y: 30 };
            let pixels: Vec<(i32, i32)> =
                object.pixels().map(|pixel| ((pixel % SIDE) as i32 - 30, (pixel / SIDE) as i32 - 30)).collect();
            let r = size.radius();
            assert!(pixels.iter().all(|(x, y)| x.abs() <= r && y.abs() <= r && object.covers(-x, *y)), "{shape:?}");
            pixels.len()
        };
        let areas = |size| Shape::ALL.map(|shape| area(shape, size));
        // Counted on squared paper.
        assert_eq!(areas(Size::Small), [113, 121, 71, 105, 85]);
        assert_eq!(areas(Size::Large), [377, 361, 220, 273, 265]);
    }

    #[test]
    fn the_image_shows_colors_with_bounded_noise_that_depends_on_its_number_only() {
        let scene = scene("small red circle at 12 33; large blue square at 18 33");
        let image = scene.render();
        assert_eq!(image, scene.render());
        assert_ne!(image, Scene { noise: 8, ..scene.clone() }.render());
        // The later object is in front.
        for (row, column, color) in [(0, 0, [40; 3]), (33, 7, Color::Red.rgb()), (33, 13, Color::Blue.rgb())] {
            let found = image.pixel(row, column);
            let is_close = |(&one, &other): (&u8, &u8)| i32::from(one.abs_diff(other)) <= NOISE;
            assert!(found.iter().zip(&color).all(is_close), "{row} {column}: {found:?}, not {color:?}");
        }
        let of_background: Vec<i32> = (0..SIDE).map(|column| i32::from(image.pixel(0, column)[0]) - 40).collect();
        assert!(of_background.iter().any(|noise| *noise > 10) && of_background.iter().any(|noise| *noise < -10));
    }

    #[test]
    fn objects_that_are_hidden_or_merge_make_a_scene_unclear() {
        let apart = scene("small red circle at 12 33; large blue square at 40 33");
        assert_eq!(apart.visibility(), [(113, 113), (361, 361)]);
        assert!(!apart.is_clear(), "the order of objects in the same row is not clear");
        assert!(scene("small red circle at 12 33; large blue square at 40 38").is_clear());
        // Of the eleven rows of the small square, the large one leaves seven or three.
        let covered = |y: i32| scene(&format!("small red square at 20 33; large blue square at 20 {y}"));
        assert!(covered(44).visibility()[0] == (77, 121) && covered(44).is_clear());
        assert!(covered(40).visibility()[0] == (33, 121) && !covered(40).is_clear());
        let merged = scene("small red square at 20 20; small red circle at 32 26");
        assert!(merged.visibility().iter().all(|(visible, all)| visible == all) && !merged.is_clear());
        assert!(scene("small red square at 20 20; small red circle at 34 26").is_clear());
    }
}
