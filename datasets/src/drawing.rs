//! Pen drawings: strokes of points, and the steps of the pen that draw them.

use std::fmt;

/// Maximum magnitude of a coordinate, so that differences of coordinates are finite.
const MAX_COORDINATE: f32 = 1e9;

/// State of the pen after a point (Ha and Eck 2018).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pen {
    /// The pen draws a line to the next point.
    Down,
    /// The pen is lifted: the next point starts a stroke.
    Lifted,
    /// The drawing ends.
    End,
}

impl Pen {
    /// Every state, in the order of a model's outputs.
    pub const ALL: [Pen; 3] = [Pen::Down, Pen::Lifted, Pen::End];
}

/// A step of the pen from one point to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Difference of the coordinates (dx, dy) of the two points.
    pub offset: [f32; 2],
    /// State of the pen after the second one.
    pub pen: Pen,
}

/// A pen drawing, such as a character or a sketch; y grows downwards.
///
/// ```
/// use seqzoo_datasets::drawing::{Drawing, Pen, Step};
///
/// let cross = Drawing::parse("0,5 10,5;5,0 5,10")?;
/// let step = |x, y, pen| Step { offset: [x, y], pen };
/// let steps = [step(10.0, 0.0, Pen::Lifted), step(-5.0, -5.0, Pen::Down), step(0.0, 10.0, Pen::End)];
/// assert_eq!((cross.len(), cross.steps().as_slice()), (4, &steps[..]));
/// assert_eq!(Drawing::of_steps(cross.start(), steps).to_string(), "0,0 10,0;5,-5 5,5");
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Drawing {
    strokes: Vec<Vec<[f32; 2]>>,
}

impl Drawing {
    /// A drawing of strokes, which are lists of points (x, y); strokes without a point are left out.
    pub fn new(strokes: impl IntoIterator<Item = Vec<[f32; 2]>>) -> Self {
        Self { strokes: strokes.into_iter().filter(|stroke| !stroke.is_empty()).collect() }
    }

    /// Parses a drawing: points `x,y` separated by spaces, strokes by semicolons, as in `0,5 10,5;5,0 5,10`.
    ///
    /// # Errors
    /// A message with the problem and the fix.
    pub fn parse(text: &str) -> Result<Self, String> {
        let point = |point: &str| {
            let invalid = || format!("{point:?} is not a point; expected finite coordinates such as `-20.7,3`");
            let (x, y) = point.split_once(',').ok_or_else(invalid)?;
            let number = |text: &str| text.parse::<f64>().map_err(|_| invalid());
            checked([number(x)?, number(y)?])
        };
        let stroke = |stroke: &str| stroke.split_whitespace().map(point).collect::<Result<Vec<_>, _>>();
        Ok(Self::new(text.split(';').map(stroke).collect::<Result<Vec<_>, _>>()?))
    }

    /// A drawing from the coordinates of each stroke: those on the x axis, those on the y axis, and possibly times, which are ignored.
    ///
    /// # Errors
    /// A message with the problem and the fix.
    pub fn of_lists(strokes: &[Vec<Vec<f64>>]) -> Result<Self, String> {
        let stroke = |(index, lists): (usize, &Vec<Vec<f64>>)| {
            let number = index + 1;
            let [x, y, ..] = lists.as_slice() else {
                let found = lists.len();
                return Err(format!("stroke {number} has {found} lists; expected one of x and one of y coordinates"));
            };
            if x.len() != y.len() {
                let (x, y) = (x.len(), y.len());
                return Err(format!("stroke {number} has {x} x coordinates, but {y} y coordinates"));
            }
            let points = x.iter().zip(y).map(|(&x, &y)| checked([x, y]));
            points.collect::<Result<Vec<_>, _>>().map_err(|detail| format!("stroke {number}: {detail}"))
        };
        Ok(Self::new(strokes.iter().enumerate().map(stroke).collect::<Result<Vec<_>, _>>()?))
    }

    /// The drawing that steps of the pen make, up to the first one that ends it; the first point is (0, 0), after which the pen has the
    /// state `start`.
    pub fn of_steps(start: Pen, steps: impl IntoIterator<Item = Step>) -> Self {
        let (mut strokes, mut stroke) = (Vec::new(), Vec::new());
        let (mut point, mut pen) = ([0.0; 2], start);
        stroke.push(point);
        for Step { offset: [dx, dy], pen: next } in steps {
            if pen != Pen::Down {
                strokes.push(std::mem::take(&mut stroke));
            }
            point = [point[0] + dx, point[1] + dy];
            stroke.push(point);
            pen = next;
            if pen == Pen::End {
                break;
            }
        }
        strokes.push(stroke);
        Self { strokes }
    }

    /// The strokes, each with at least one point (x, y).
    pub fn strokes(&self) -> &[Vec<[f32; 2]>] {
        &self.strokes
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.strokes.iter().map(Vec::len).sum()
    }

    /// Whether there are no points.
    pub fn is_empty(&self) -> bool {
        self.strokes.is_empty()
    }

    /// State of the pen after the first point.
    pub fn start(&self) -> Pen {
        self.points().next().map_or(Pen::End, |(_, pen)| pen)
    }

    /// The steps of the pen from each point to the next: one fewer than points.
    pub fn steps(&self) -> Vec<Step> {
        let pairs = self.points().zip(self.points().skip(1));
        pairs.map(|(([x, y], _), ([next_x, next_y], pen))| Step { offset: [next_x - x, next_y - y], pen }).collect()
    }

    /// The coordinates of each stroke, those on the x axis and those on the y axis: the inverse of [`Drawing::of_lists`].
    pub fn lists(&self) -> Vec<[Vec<f32>; 2]> {
        let axis = |stroke: &[[f32; 2]], axis: usize| stroke.iter().map(|point| point[axis]).collect();
        self.strokes.iter().map(|stroke| [axis(stroke, 0), axis(stroke, 1)]).collect()
    }

    /// The smallest and the largest coordinates (x, y); `None` if there are no points.
    pub fn bounds(&self) -> Option<[[f32; 2]; 2]> {
        let points = || self.strokes.iter().flatten().copied();
        let least = points().reduce(|[x, y], [other_x, other_y]| [x.min(other_x), y.min(other_y)])?;
        let most = points().reduce(|[x, y], [other_x, other_y]| [x.max(other_x), y.max(other_y)])?;
        Some([least, most])
    }

    /// Each point with the state of the pen after it.
    fn points(&self) -> impl Iterator<Item = ([f32; 2], Pen)> {
        let strokes = self.strokes.len();
        self.strokes.iter().enumerate().flat_map(move |(index, stroke)| {
            let after = if index + 1 == strokes { Pen::End } else { Pen::Lifted };
            let pen = move |at: usize| if at + 1 == stroke.len() { after } else { Pen::Down };
            stroke.iter().enumerate().map(move |(at, &point)| (point, pen(at)))
        })
    }
}

/// The text that [`Drawing::parse`] reads.
impl fmt::Display for Drawing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, stroke) in self.strokes.iter().enumerate() {
            for (at, [x, y]) in stroke.iter().enumerate() {
                let separator = match (index, at) {
                    (0, 0) => "",
                    (_, 0) => ";",
                    _ => " ",
                };
                write!(f, "{separator}{x},{y}")?;
            }
        }
        Ok(())
    }
}

/// A point, if its coordinates are finite and not too large.
fn checked(point: [f64; 2]) -> Result<[f32; 2], String> {
    let is_valid = |value: &f64| value.abs() <= f64::from(MAX_COORDINATE);
    match point.iter().find(|value| !is_valid(value)) {
        None => Ok(point.map(|value| value as f32)),
        Some(value) => Err(format!("the coordinate {value:?} is not a number from -10⁹ to 10⁹; correct or remove it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn strokes_are_separated_by_semicolons_and_points_by_spaces() {
        let drawing = Drawing::parse(" 1,2  3,4 ;; 5.5,-6e0;").unwrap();
        assert_eq!(drawing.strokes(), [vec![[1.0, 2.0], [3.0, 4.0]], vec![[5.5, -6.0]]]);
        assert_eq!(drawing.bounds(), Some([[1.0, -6.0], [5.5, 4.0]]));
        assert_eq!(drawing.lists(), [[vec![1.0, 3.0], vec![2.0, 4.0]], [vec![5.5], vec![-6.0]]]);
        let empty = Drawing::parse("").unwrap();
        assert!(empty.is_empty() && empty.steps().is_empty() && empty.bounds().is_none() && empty.start() == Pen::End);
        for (text, part) in [
            ("1,2 3", "\"3\" is not a point"),
            ("1,x", "\"1,x\" is not a point"),
            ("1,2,3", "\"1,2,3\" is not a point"),
            ("nan,1", "the coordinate NaN is not a number from -10⁹ to 10⁹"),
            ("1,1e10", "the coordinate 10000000000.0 is not a number"),
        ] {
            let error = Drawing::parse(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_pen_is_lifted_between_strokes_and_ends_the_drawing() {
        let drawing = Drawing::parse("1,1;2,3 2,4;0,0").unwrap();
        let pens: Vec<Pen> = drawing.steps().iter().map(|step| step.pen).collect();
        assert_eq!((drawing.start(), pens), (Pen::Lifted, vec![Pen::Down, Pen::Lifted, Pen::End]));
        let offsets: Vec<[f32; 2]> = drawing.steps().iter().map(|step| step.offset).collect();
        assert_eq!(offsets, [[1.0, 2.0], [0.0, 1.0], [-2.0, -4.0]]);
    }

    #[test]
    fn lists_of_coordinates_are_checked() {
        let of = |json: &str| Drawing::of_lists(&serde_json::from_str::<Vec<Vec<Vec<f64>>>>(json).unwrap());
        assert_eq!(of("[[[1], [2], [9, 9]], [[], []]]").unwrap().to_string(), "1,2");
        for (json, part) in [
            ("[[[1]]]", "stroke 1 has 1 lists"),
            ("[[[1], [1]], [[1, 2], [1]]]", "stroke 2 has 2 x coordinates, but 1 y coordinates"),
            ("[[[1], [-1e300]]]", "stroke 1: the coordinate -1e300"),
        ] {
            let error = of(json).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    proptest! {
        #[test]
        fn the_text_and_the_steps_of_a_drawing_are_that_drawing(
            strokes in prop::collection::vec(prop::collection::vec((-99i16..99, -99i16..99), 1..5), 1..5),
        ) {
            let [x, y] = [strokes[0][0].0, strokes[0][0].1].map(f32::from);
            let point = |&(other_x, other_y): &(i16, i16)| [f32::from(other_x) - x, f32::from(other_y) - y];
            let drawing = Drawing::new(strokes.iter().map(|stroke| stroke.iter().map(point).collect()));
            prop_assert_eq!(&Drawing::parse(&drawing.to_string()).unwrap(), &drawing);
            prop_assert_eq!(&Drawing::of_steps(drawing.start(), drawing.steps()), &drawing);
            let lists: Vec<Vec<Vec<f64>>> = drawing
                .lists()
                .iter()
                .map(|axes| axes.iter().map(|axis| axis.iter().map(|&value| value.into()).collect()).collect())
                .collect();
            prop_assert_eq!(Drawing::of_lists(&lists).unwrap(), drawing);
        }
    }
}
