//! What a task reads of its data.

use crate::DataError;
use crate::columns::Columns;
use crate::split_rule::SplitRule;

/// Fields of `[data]` that only some tasks read.
const TASK_FIELDS: [&str; 4] = ["labels", "naive_bayes", "season", "missing_steps"];

/// Data of a task: the roles of its columns, the fields of `[data]` that it reads, and how its rows can be split.
///
/// ```
/// use seqzoo_datasets::columns::Columns;
/// use seqzoo_datasets::data_spec::{Content, DataSpec, Role};
/// use seqzoo_datasets::split_rule::SplitRule;
///
/// static RATINGS: DataSpec = DataSpec {
///     task: "regression",
///     roles: &[
///         Role::required("text", Content::Text, "Column of the texts."),
///         Role::required("rating", Content::Other, "Column of the number to predict."),
///     ],
///     fields: &[],
///     default_format: None,
///     default_split: SplitRule::SHUFFLED,
///     split_rules: &["shuffle", "rows", "every"],
///     split_note: "whole texts are assigned to splits",
/// };
/// assert!(RATINGS.fits(&Columns::default().with("text", "review").with("rating", "stars")));
/// assert!(!RATINGS.fits(&Columns::default().with("text", "review")));
/// ```
#[derive(Debug)]
pub struct DataSpec {
    /// Name of the task.
    pub task: &'static str,
    /// Roles of the columns.
    pub roles: &'static [Role],
    /// Fields of `[data]` that this task reads, out of those that only some tasks read: `labels`, `naive_bayes`, `season`,
    /// `missing_steps`.
    pub fields: &'static [&'static str],
    /// Format of files whose names mark no format; `None` if it is recognized by folders or the first line.
    pub default_format: Option<&'static str>,
    /// Rule for rows without `data.split`.
    pub default_split: SplitRule,
    /// Values of `data.split.by` that are valid.
    pub split_rules: &'static [&'static str],
    /// Why the others are not.
    pub split_note: &'static str,
}

/// A role of columns.
#[derive(Debug)]
pub struct Role {
    /// Name in `data.columns`.
    pub name: &'static str,
    /// Description.
    pub meaning: &'static str,
    /// What its columns contain.
    pub content: Content,
    /// Whether the task needs a column with this role.
    pub is_required: bool,
}

/// What the columns with a role contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Texts, which are cleaned.
    Text,
    /// Lists of tokens, which are cleaned one by one; a text is split at ASCII whitespace.
    Tokens,
    /// Lists of tags without whitespace around them; a text is split at ASCII whitespace.
    Tags,
    /// Labels of texts or sentences; rows without one are skipped.
    Label,
    /// Timestamps.
    Time,
    /// Other values, which remain as they are.
    Other,
    /// Values of any number of columns; rows that differ in these columns only are duplicates.
    Several,
}

impl Role {
    /// Columns that define groups.
    pub const GROUPS: Self = Self::optional(
        "groups",
        Content::Several,
        "Columns whose values define groups, for which metrics are reported separately.",
    );

    /// A role that the task needs.
    pub const fn required(name: &'static str, content: Content, meaning: &'static str) -> Self {
        Self { name, meaning, content, is_required: true }
    }

    /// A role that the task can do without.
    pub const fn optional(name: &'static str, content: Content, meaning: &'static str) -> Self {
        Self { name, meaning, content, is_required: false }
    }
}

impl DataSpec {
    /// Whether the task uses all of these columns, and they include all required ones.
    pub fn fits(&self, columns: &Columns) -> bool {
        let is_there = |role: &Role| !role.is_required || columns.get(role.name).is_some();
        columns.roles().all(|role| self.reads_role(role)) && self.roles.iter().all(is_there)
    }

    /// Whether rows are in order of time, so that the examples of a split depend on the rows of the earlier ones.
    pub fn is_chronological(&self) -> bool {
        self.roles.iter().any(|role| role.name == "time")
    }

    /// Whether the task reads a field of `[data]`.
    pub fn reads_field(&self, field: &str) -> bool {
        !TASK_FIELDS.contains(&field) || self.fields.contains(&field)
    }

    /// Whether the task reads the columns with a role.
    pub(crate) fn reads_role(&self, role: &str) -> bool {
        self.roles.iter().any(|known| known.name == role)
    }

    /// Checks that the task reads all of these columns.
    ///
    /// # Errors
    /// The first role that it does not read, or that several columns have by mistake.
    pub(crate) fn check(&self, columns: &Columns) -> Result<(), DataError> {
        for role in columns.roles() {
            let invalid = |expected: String| {
                let value = columns.value(role).expect("the role of a column");
                Err(DataError::setting(format!("data.columns.{role}"), value, expected))
            };
            match self.roles.iter().find(|known| known.name == role) {
                None => {
                    let known = self.roles.iter().map(|role| role.name).collect::<Vec<_>>().join(", ");
                    return invalid(format!("task {} does not use it; it uses {known}", self.task));
                }
                Some(known) if known.content != Content::Several && columns.several(role).len() != 1 => {
                    return invalid("the name of one column".to_owned());
                }
                Some(_) => {}
            }
        }
        let single: Vec<(&Role, &str)> = self.single(columns).collect();
        for (index, (role, name)) in single.iter().enumerate() {
            if let Some((other, _)) = single[..index].iter().find(|(_, earlier)| earlier == name) {
                let expected = format!("another column than that of {}, which is the same", other.name);
                return Err(DataError::setting(format!("data.columns.{}", role.name), *name, expected));
            }
        }
        Ok(())
    }

    /// The columns that single roles have, in the order of the roles.
    pub(crate) fn single<'a>(&self, columns: &'a Columns) -> impl Iterator<Item = (&'static Role, &'a str)> {
        let roles = self.roles.iter().filter(|role| role.content != Content::Several);
        roles.filter_map(|role| Some((role, columns.get(role.name)?)))
    }
}
