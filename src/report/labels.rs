//! Tables of metrics per label, of calibration, and of confusion.

use comfy_table::{CellAlignment, Table};
use seqzoo_datasets::scores::ConfusionMatrix;
use seqzoo_datasets::uncertainty::{Bin, Calibration};

use super::table_style;

/// Metrics per label.
pub(super) fn labels(confusion: &ConfusionMatrix) -> Table {
    let mut table = Table::new();
    table.load_style(table_style());
    table.set_header(["label", "examples", "precision", "recall", "f1"]);
    for (index, label) in confusion.labels.iter().enumerate() {
        let scores = confusion.label_scores(index);
        let shares = [scores.precision, scores.recall, scores.f1].map(|share| format!("{share:.4}"));
        table.add_row([label.clone(), scores.examples.to_string()].into_iter().chain(shares));
    }
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

/// Accuracy of predictions by their probability.
pub(super) fn reliability(calibration: &Calibration) -> Table {
    let mut table = Table::new();
    table.load_style(table_style());
    table.set_header(["mean probability", "accuracy", "examples"]);
    for Bin { examples, probability, accuracy } in &calibration.bins {
        table.add_row([format!("{probability:.4}"), format!("{accuracy:.4}"), examples.to_string()]);
    }
    table.column_iter_mut().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

/// Confusion matrix: rows are actual labels, columns predicted ones.
pub(super) fn matrix(confusion: &ConfusionMatrix) -> Table {
    let mut table = Table::new();
    table.load_style(table_style());
    table.set_header(std::iter::once(String::new()).chain(confusion.labels.iter().cloned()));
    for (label, row) in confusion.labels.iter().zip(&confusion.counts) {
        let cell = |&count: &usize| if count == 0 { ".".to_owned() } else { count.to_string() };
        table.add_row(std::iter::once(label.clone()).chain(row.iter().map(cell)));
    }
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}
