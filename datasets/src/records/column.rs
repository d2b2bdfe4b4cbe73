//! Columns of records.

use std::sync::Arc;

use crate::digest::Digest;
use crate::signal::Signal;

/// The values of a column, one per row.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// Texts; equal ones may share their memory.
    Text(Vec<Arc<str>>),
    /// Lists of texts, such as the tokens of a sentence.
    Lists(Vec<Vec<String>>),
    /// Numbers.
    Numbers(Vec<f64>),
    /// Series of one or several channels.
    Series(Vec<Arc<Signal>>),
}

impl Column {
    /// A column of texts.
    pub fn text<T: Into<Arc<str>>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::Text(texts.into_iter().map(Into::into).collect())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Column::Text(texts) => texts.len(),
            Column::Lists(lists) => lists.len(),
            Column::Numbers(numbers) => numbers.len(),
            Column::Series(series) => series.len(),
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Column::Text(_) => "text",
            Column::Lists(_) => "lists of texts",
            Column::Numbers(_) => "numbers",
            Column::Series(_) => "series",
        }
    }

    pub(super) fn select(&self, rows: &[usize]) -> Self {
        match self {
            Column::Text(texts) => Column::Text(rows.iter().map(|&row| texts[row].clone()).collect()),
            Column::Lists(lists) => Column::Lists(rows.iter().map(|&row| lists[row].clone()).collect()),
            Column::Numbers(numbers) => Column::Numbers(rows.iter().map(|&row| numbers[row]).collect()),
            Column::Series(series) => Column::Series(rows.iter().map(|&row| series[row].clone()).collect()),
        }
    }

    /// Adds all values to a digest.
    pub(super) fn add_to(&self, digest: &mut Digest) {
        match self {
            Column::Text(texts) => texts.iter().for_each(|text| digest.text(text)),
            Column::Lists(lists) => {
                for list in lists {
                    digest.number(list.len() as u64);
                    list.iter().for_each(|item| digest.text(item));
                }
            }
            Column::Numbers(numbers) => numbers.iter().for_each(|number| digest.number(number.to_bits())),
            Column::Series(series) => {
                for signal in series {
                    [signal.channels(), signal.len()].into_iter().for_each(|size| digest.number(size as u64));
                    signal.values().iter().for_each(|value| digest.number(value.to_bits().into()));
                }
            }
        }
    }

    /// Appends a column of the same type; returns false if the types differ.
    pub(super) fn append(&mut self, other: Self) -> bool {
        match (self, other) {
            (Column::Text(texts), Column::Text(more)) => texts.extend(more),
            (Column::Lists(lists), Column::Lists(more)) => lists.extend(more),
            (Column::Numbers(numbers), Column::Numbers(more)) => numbers.extend(more),
            (Column::Series(series), Column::Series(more)) => series.extend(more),
            _ => return false,
        }
        true
    }
}
