//! Fields of a recipe's sections: meaning, default and valid values, from the doc comments and bounds in the code.

use schemars::{JsonSchema, schema_for};
use serde_json::{Map, Value};
use toml::Table;

use crate::InvalidValue;

/// A field of a section.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The key.
    pub name: String,
    /// What it means, on one line.
    pub meaning: String,
    /// Its default; `None` if it has none, so that it is required unless [`Field::is_optional`].
    pub default: Option<Value>,
    /// Whether it can be left unset.
    pub is_optional: bool,
    /// Valid values.
    pub values: Values,
}

/// Valid values of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// `true` or `false`.
    Boolean,
    /// Any text.
    Text,
    /// One of these names, each with its meaning.
    Names(Vec<(String, String)>),
    /// Numbers.
    Numbers(Bounds),
    /// A list of texts or numbers.
    List(Box<Values>),
    /// A table.
    Table,
}

/// Bounds of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bounds {
    whole: bool,
    least: Option<f64>,
    /// An excluded lower bound.
    above: Option<f64>,
    most: Option<f64>,
    /// An excluded upper bound.
    below: Option<f64>,
}

impl Bounds {
    /// Whether the numbers are whole.
    pub fn are_whole(&self) -> bool {
        self.whole
    }

    fn contains(&self, value: f64) -> bool {
        let in_f32 = self.whole || value.abs() <= f64::from(f32::MAX);
        in_f32
            && self.least.is_none_or(|least| value >= least)
            && self.above.is_none_or(|above| value > above)
            && self.most.is_none_or(|most| value <= most)
            && self.below.is_none_or(|below| value < below)
    }
}

impl std::fmt::Display for Bounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { whole, least, above, most, below } = *self;
        match (whole, least.or(above), most.or(below)) {
            (true, Some(least), Some(most)) => write!(f, "a whole number from {least} to {most}"),
            (true, Some(least), None) => write!(f, "a whole number from {least}"),
            (true, None, _) => write!(f, "a whole number"),
            (false, Some(low), Some(high)) => {
                let (open, close) = (if above.is_some() { '(' } else { '[' }, if below.is_some() { ')' } else { ']' });
                write!(f, "a number in {open}{low}, {high}{close}")
            }
            (false, Some(low), None) if above.is_some() => write!(f, "a number above {low} in the range of f32"),
            (false, Some(low), None) => write!(f, "a number from {low} in the range of f32"),
            (false, None, _) => write!(f, "a number in the range of f32"),
        }
    }
}

impl std::fmt::Display for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Boolean => f.write_str("true or false"),
            Self::Text => f.write_str("a text"),
            Self::Names(names) => {
                let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
                write!(f, "one of {}", names.join(", "))
            }
            Self::Numbers(bounds) => bounds.fmt(f),
            Self::List(each) => write!(f, "a list, each {each}"),
            Self::Table => f.write_str("a table"),
        }
    }
}

impl Values {
    fn of(schema: &Map<String, Value>, definitions: &Map<String, Value>) -> Self {
        let reference = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
        if let Some(found) = reference.and_then(|name| definitions.get(name)).and_then(Value::as_object) {
            return Self::of(found, definitions);
        }
        if let Some(options) = schema.get("oneOf").and_then(Value::as_array) {
            let text = |option: &Value, key: &str| option[key].as_str().unwrap_or_default().to_owned();
            return Self::Names(options.iter().map(|one| (text(one, "const"), meaning(&one["description"]))).collect());
        }
        if let Some(names) = schema.get("enum").and_then(Value::as_array) {
            return Self::Names(
                names.iter().filter_map(Value::as_str).map(|name| (name.to_owned(), String::new())).collect(),
            );
        }
        let kinds: Vec<&str> = match schema.get("type") {
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(kind)) => vec![kind],
            _ => Vec::new(),
        };
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        match kinds.first() {
            Some(&"boolean") => Self::Boolean,
            Some(&"string") => Self::Text,
            Some(&"array") => {
                let each = schema.get("items").and_then(Value::as_object);
                Self::List(Box::new(each.map_or(Self::Text, |each| Self::of(each, definitions))))
            }
            Some(&"object") | None => Self::Table,
            Some(kind) => Self::Numbers(Bounds {
                whole: *kind == "integer",
                least: bound("minimum"),
                above: bound("exclusiveMinimum"),
                most: bound("maximum"),
                below: bound("exclusiveMaximum"),
            }),
        }
    }

    fn contain(&self, value: &toml::Value) -> bool {
        let number = |value: &toml::Value| value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
        match (self, value) {
            (Self::Numbers(bounds), value) => number(value).is_some_and(|number| bounds.contains(number)),
            (Self::List(each), toml::Value::Array(values)) => values.iter().all(|value| each.contain(value)),
            // Types and names were checked when the section was parsed.
            _ => true,
        }
    }
}

/// First paragraph of a doc comment, on one line, without intra-doc links.
fn meaning(description: &Value) -> String {
    let text = description.as_str().unwrap_or_default();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let line = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    // References to items are for readers of the code.
    let line = line.split(", see [`").next().unwrap_or_default().trim_end_matches('.').to_owned() + ".";
    line.replace("[`", "`").replace("`]", "`")
}

/// The fields of a section, in the order of their declaration.
pub fn of<S: JsonSchema>() -> Vec<Field> {
    let schema = schema_for!(S);
    let object = |key: &str| schema.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
    let (properties, definitions) = (object("properties"), object("$defs"));
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let field = |(name, schema): (&String, &Value)| {
        let empty = Map::new();
        let schema = schema.as_object().unwrap_or(&empty);
        Field {
            name: name.clone(),
            meaning: meaning(schema.get("description").unwrap_or(&Value::Null)),
            default: schema.get("default").filter(|default| !default.is_null()).cloned(),
            is_optional: !required.contains(&name.as_str()),
            values: Values::of(schema, &definitions),
        }
    };
    properties.iter().map(field).collect()
}

/// Checks the values of a section against the bounds of its fields.
///
/// # Errors
/// The first invalid value.
pub fn check(section: &str, fields: &[Field], values: &Table) -> Result<(), InvalidValue> {
    let invalid = |field: &&Field| values.get(&field.name).is_some_and(|value| !field.values.contain(value));
    match fields.iter().find(invalid) {
        None => Ok(()),
        Some(field) => {
            let name = format!("{section}.{}", field.name);
            Err(InvalidValue::new(name, &values[&field.name], field.values.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Serialize, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Section {
        /// How
        /// many, see [`Kind`].
        ///
        /// More.
        #[schemars(range(min = 1, max = 10))]
        count: usize,
        /// A share.
        #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
        share: f64,
        /// A positive number.
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        rate: f64,
        /// Which kind.
        kind: Kind,
        /// All sizes.
        #[schemars(inner(range(min = 1, max = 4)))]
        sizes: Vec<usize>,
        /// A name, if any.
        name: Option<String>,
    }

    impl Default for Section {
        fn default() -> Self {
            Self { count: 2, share: 0.5, rate: 1.0, kind: Kind::First, sizes: vec![3], name: None }
        }
    }

    #[derive(Debug, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        /// The first.
        First,
        /// The second.
        Second,
    }

    #[test]
    fn fields_have_the_meaning_default_and_values_of_the_code() {
        let fields = of::<Section>();
        let find = |name: &str| fields.iter().find(|field| field.name == name).unwrap();
        assert_eq!(find("count").meaning, "How many.");
        assert_eq!(find("count").default, Some(2.into()));
        assert_eq!((&find("name").default, find("name").is_optional), (&None, true));
        let shown = ["count", "share", "rate", "kind", "sizes", "name"].map(|name| find(name).values.to_string());
        let expected = [
            "a whole number from 1 to 10",
            "a number in [0, 1)",
            "a number above 0 in the range of f32",
            "one of first, second",
            "a list, each a whole number from 1 to 4",
            "a text",
        ];
        assert_eq!(shown, expected);
        let Values::Names(kinds) = &find("kind").values else { panic!("the names of an enum") };
        assert_eq!(kinds[1], ("second".to_owned(), "The second.".to_owned()));
    }

    #[test]
    fn values_outside_their_bounds_are_refused_by_field() {
        let fields = of::<Section>();
        let check = |text: &str| check("section", &fields, &text.parse().unwrap());
        assert_eq!(check("count = 10\nshare = 0\nrate = 1e38\nsizes = [1, 4]\nkind = \"first\""), Ok(()));
        for (text, field) in [
            ("count = 0", "count = 0: a whole number from 1 to 10"),
            ("count = 11", "count"),
            ("share = 1.0", "share"),
            ("share = -0.1", "share"),
            ("share = nan", "share"),
            ("rate = 0.0", "rate"),
            ("rate = 1e39", "rate"),
            ("rate = inf", "rate"),
            ("sizes = [1, 5]", "sizes"),
        ] {
            let error = check(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("section.{field}")), "{text}: {error}");
        }
    }
}
