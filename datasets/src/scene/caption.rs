//! Captions of scenes.

use std::fmt;

use super::{Color, Object, Shape, Size};

words! {
    /// Relation of an object to the next one from top to bottom, which is to the right, to the left, or below.
    Relation: LeftOf = "left of", RightOf = "right of", Above = "above"
}

/// Minimum vertical distance between the centers of two objects, by which they are ordered.
const MIN_DISTANCE: i32 = 5;

/// Minimum difference between the horizontal and the vertical distance of two objects, by which their relation is decided.
const MIN_MARGIN: i32 = 6;

impl Relation {
    /// The relation of an object to another one below: that of the axis with the larger distance; `None` if the distances are similar.
    fn between(object: &Object, next: &Object) -> Option<Self> {
        let (right, down) = (next.x - object.x, next.y - object.y);
        let difference = right.abs() - down;
        let relation = match (difference > 0, right > 0) {
            (true, true) => Self::LeftOf,
            (true, false) => Self::RightOf,
            (false, _) => Self::Above,
        };
        (difference.abs() >= MIN_MARGIN).then_some(relation)
    }
}

/// The attributes of an object, as in "a small red circle".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Phrase {
    /// Its size.
    pub size: Size,
    /// Its color.
    pub color: Color,
    /// Its shape.
    pub shape: Shape,
}

/// The content of a caption: objects from top to bottom, and the relation of each to the next one.
///
/// ```text
/// caption  := phrase "is" relation phrase (", which is" relation phrase)*
/// phrase   := "a" size color shape          relation := "left of" | "right of" | "above"
/// ```
///
/// Two objects differ by at least 5 pixels in height, so that their order is visible; their relation is that of the axis on which
/// they are farther apart, by at least 6 pixels.
///
/// ```
/// use seqzoo_datasets::scene::Description;
///
/// let text = "a small red circle is left of a large blue square, which is above a small green cross";
/// assert_eq!(Description::parse(text).unwrap().to_string(), text);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// At least two objects, from top to bottom.
    pub phrases: Vec<Phrase>,
    /// The relation of each object to the next one.
    pub relations: Vec<Relation>,
}

impl Description {
    /// Describes objects; `None` if there are fewer than two, or their order or a relation is not clear.
    pub fn of(objects: &[Object]) -> Option<Self> {
        let mut objects = objects.to_vec();
        objects.sort_by_key(|object| object.y);
        let relation = |pair: &[Object]| {
            let is_ordered = pair[1].y - pair[0].y >= MIN_DISTANCE;
            Relation::between(&pair[0], &pair[1]).filter(|_| is_ordered)
        };
        let relations = objects.windows(2).map(relation).collect::<Option<Vec<_>>>()?;
        let phrase = |&Object { size, color, shape, .. }: &Object| Phrase { size, color, shape };
        (!relations.is_empty()).then(|| Self { phrases: objects.iter().map(phrase).collect(), relations })
    }

    /// Parses a caption; `None` if it is not one of a scene.
    pub fn parse(text: &str) -> Option<Self> {
        let mut clauses = text.split(" is ").peekable();
        let (mut phrases, mut relations) = (vec![Phrase::parse(clauses.next()?)?], Vec::new());
        while let Some(text) = clauses.next() {
            let text = if clauses.peek().is_some() { text.strip_suffix(", which")? } else { text };
            let (relation, phrase) =
                Relation::ALL.into_iter().find_map(|relation| Some((relation, text.strip_prefix(relation.word())?)))?;
            relations.push(relation);
            phrases.push(Phrase::parse(phrase.strip_prefix(' ')?)?);
        }
        (!relations.is_empty()).then_some(Self { phrases, relations })
    }
}

impl Phrase {
    fn parse(text: &str) -> Option<Self> {
        let ["a", size, color, shape] = text.split(' ').collect::<Vec<_>>()[..] else { return None };
        Some(Self { size: Size::of_word(size)?, color: Color::of_word(color)?, shape: Shape::of_word(shape)? })
    }
}

impl fmt::Display for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {} {} {}", self.size.word(), self.color.word(), self.shape.word())
    }
}

/// The text that [`Description::parse`] reads.
impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.phrases[0])?;
        for (index, (relation, phrase)) in self.relations.iter().zip(&self.phrases[1..]).enumerate() {
            let verb = if index == 0 { " is" } else { ", which is" };
            write!(f, "{verb} {} {phrase}", relation.word())?;
        }
        Ok(())
    }
}

/// What a caption says about objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// Shapes.
    Shape,
    /// Colors.
    Color,
    /// Sizes.
    Size,
    /// Relations.
    Relation,
}

impl Attribute {
    /// Every attribute.
    pub const ALL: [Self; 4] = [Self::Shape, Self::Color, Self::Size, Self::Relation];

    /// The words of this attribute in a text, in order; of a relation, the first word. The text need not be a valid caption.
    pub fn words(self, text: &str) -> Vec<&str> {
        let is_word = |word: &&str| match self {
            Self::Shape => Shape::of_word(word).is_some(),
            Self::Color => Color::of_word(word).is_some(),
            Self::Size => Size::of_word(word).is_some(),
            Self::Relation => Relation::ALL.iter().any(|relation| relation.word().split(' ').next() == Some(*word)),
        };
        text.split(|c: char| !c.is_alphanumeric()).filter(is_word).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn object(x: i32, y: i32) -> Object {
        Object { shape: Shape::Circle, color: Color::Red, size: Size::Small, x, y }
    }

    fn relation(x: i32, y: i32) -> Option<Relation> {
        Description::of(&[object(30, 30), object(x, y)]).map(|description| description.relations[0])
    }

    #[test]
    fn relations_need_clear_margins() {
        assert_eq!(relation(41, 35), Some(Relation::LeftOf));
        assert_eq!(relation(19, 35), Some(Relation::RightOf));
        assert_eq!(relation(30, 36), Some(Relation::Above));
        // The upper object is the first one, whatever the order of drawing.
        assert_eq!(relation(41, 25), Some(Relation::RightOf));
        assert_eq!(relation(30, 24), Some(Relation::Above));
        for (x, y) in [(40, 35), (20, 35), (41, 34), (41, 30), (30, 35), (36, 41), (50, 50)] {
            assert_eq!(relation(x, y), None, "{x} {y}");
        }
        assert_eq!(Description::of(&[object(30, 30)]), None);
    }

    #[test]
    fn texts_that_are_no_captions_are_refused() {
        for text in [
            "",
            "a small red circle",
            "a small red circle is",
            "a small red circle is left of",
            "a red circle is above a small red cross",
            "a small red circle is below a small red cross",
            "a small red circle is above a small red cross, which",
            "a small red circle is above a small red cross is above a small red cross",
            "a small red circle is above a small red cross.",
            "two dogs play in the snow",
        ] {
            assert_eq!(Description::parse(text), None, "{text}");
        }
    }

    #[test]
    fn attributes_are_read_from_any_text() {
        let text = "a red, small circle left of of above square red";
        let words = Attribute::ALL.map(|attribute| attribute.words(text));
        assert_eq!(words, [vec!["circle", "square"], vec!["red", "red"], vec!["small"], vec!["left", "above"]]);
    }

    proptest! {
        #[test]
        fn a_caption_is_parsed_to_the_objects_and_relations_that_it_describes(
            objects in prop::collection::vec((0..5usize, 0..6usize, 0..2usize, 12..52i32, 12..52i32), 2..5)
        ) {
            let objects: Vec<Object> = objects.into_iter().map(|(shape, color, size, x, y)| Object {
                shape: Shape::ALL[shape], color: Color::ALL[color], size: Size::ALL[size], x, y
            }).collect();
            if let Some(description) = Description::of(&objects) {
                let text = description.to_string();
                prop_assert_eq!(Description::parse(&text), Some(description.clone()));
                let counts = Attribute::ALL.map(|attribute| attribute.words(&text).len());
                prop_assert_eq!(counts, [objects.len(), objects.len(), objects.len(), objects.len() - 1]);
                let tokens = crate::text::tokenize_words(&text).collect::<Vec<_>>().join(" ").replace(" ,", ",");
                prop_assert_eq!(tokens, text);
            }
        }
    }
}
