//! Tables of metrics per label, of calibration, and of confusion.

use comfy_table::{CellAlignment, Table};
use seqzoo_datasets::scores::{ConfusionMatrix, Evaluation, LabelScores, Scores};
use seqzoo_datasets::spans::{F1, PRECISION, RECALL};
use seqzoo_datasets::uncertainty::{Bin, Calibration};

use super::table_style;

/// Metrics per label.
pub(super) fn labels(confusion: &ConfusionMatrix) -> Table {
    let row = |(index, label): (usize, &String)| {
        let LabelScores { examples, precision, recall, f1 } = confusion.label_scores(index);
        (label.clone(), examples, [precision, recall, f1])
    };
    precision_and_recall("label", confusion.labels.iter().enumerate().map(row))
}

/// Metrics per type of span, such as named entities, and of all spans; `None` if the evaluation has none.
pub(super) fn spans(evaluation: &Evaluation) -> Option<Table> {
    let row = |name: &str, examples: usize, scores: &Scores| {
        (name.to_owned(), examples, [PRECISION, RECALL, F1].map(|metric| scores.get(metric).unwrap_or(f64::NAN)))
    };
    let of_types = evaluation.groups.iter().filter(|((kind, _), _)| &**kind == "span");
    let of_types = of_types.map(|((_, name), scores)| row(name, scores.examples, scores));
    let mut rows: Vec<(String, usize, [f64; 3])> = of_types.collect();
    let all = rows.iter().map(|(_, examples, _)| examples).sum();
    rows.push(row("all", all, &evaluation.all));
    (rows.len() > 1).then(|| precision_and_recall("span", rows.into_iter()))
}

/// A table of the number of examples, precision, recall and F1 of labels of a kind.
fn precision_and_recall(kind: &str, rows: impl Iterator<Item = (String, usize, [f64; 3])>) -> Table {
    let mut table = Table::new();
    table.load_style(table_style());
    table.set_header([kind, "examples", "precision", "recall", "f1"]);
    for (label, examples, shares) in rows {
        let shares = shares.map(|share| format!("{share:.4}"));
        table.add_row([label, examples.to_string()].into_iter().chain(shares));
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
