//! Columns by role.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::DataError;

/// Names of the columns of a dataset by role, such as `{ text = "review", groups = ["length"] }`. Which roles there are depends on the
/// task, see [`DataSpec`](crate::data_spec::DataSpec).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Columns(BTreeMap<String, Names>);

/// One name or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected the name of a column or a list of names")]
enum Names {
    One(String),
    Many(Vec<String>),
}

impl Names {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }
}

impl Columns {
    /// Adds a column with a role, in place of any previous one.
    pub fn with(mut self, role: &str, name: &str) -> Self {
        self.0.insert(role.to_owned(), Names::One(name.to_owned()));
        self
    }

    /// Removes the columns with a role.
    pub fn without(mut self, role: &str) -> Self {
        self.0.remove(role);
        self
    }

    /// Adds columns that share a role, in place of any previous ones.
    pub fn with_several<'a>(mut self, role: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.insert(role.to_owned(), Names::Many(names.into_iter().map(str::to_owned).collect()));
        self
    }

    /// The name of the only column with a role.
    pub fn get(&self, role: &str) -> Option<&str> {
        match self.several(role) {
            [name] => Some(name),
            _ => None,
        }
    }

    /// The names of all columns with a role.
    pub fn several(&self, role: &str) -> &[String] {
        self.0.get(role).map_or(&[], Names::as_slice)
    }

    /// The name of the only column with a required role.
    ///
    /// # Errors
    /// If no column has the role, or more than one.
    pub fn need(&self, role: &str) -> Result<&str, DataError> {
        let wrong = || {
            let field = format!("data.columns.{role}");
            let found = self.value(role).unwrap_or(Value::from("none"));
            let found = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
            DataError::setting(field, found, format!("name the column to use as {role}"))
        };
        self.get(role).ok_or_else(wrong)
    }

    /// The roles, in alphabetical order.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The names of all columns.
    pub fn names(&self) -> Vec<&str> {
        self.0.values().flat_map(Names::as_slice).map(String::as_str).collect()
    }

    /// The name or the names of a role, as in a recipe.
    pub(crate) fn value(&self, role: &str) -> Option<Value> {
        Table::try_from(self).ok()?.remove(role)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The columns whose role is in a list.
    pub(crate) fn only(mut self, roles: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|role, _| roles(role));
        self
    }

    /// Columns of `self`, else of `base`.
    pub(crate) fn with_defaults(self, mut base: Self) -> Self {
        base.0.extend(self.0);
        base
    }
}
