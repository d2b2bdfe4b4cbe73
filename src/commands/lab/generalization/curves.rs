//! Accuracy by length.

use std::io::Write;

use comfy_table::{CellAlignment, Table};
use seqzoo_datasets::problems::{Parameters, Problem};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::report::{mean_and_deviation, table_style};

/// A cell generalizes to a length at which its mean accuracy is at least this one.
pub const GENERALIZES: f64 = 0.9;

/// Multiples of the training length that the summary covers.
const FACTORS: [usize; 2] = [2, 8];

/// Accuracy by length of all cells on a problem.
pub struct Curves {
    pub problem: &'static Problem,
    pub parameters: Parameters,
    /// Name of the constant prediction that is the baseline, and its accuracy at each length.
    pub baseline: (&'static str, Vec<f64>),
    pub cells: Vec<Curve>,
}

/// Accuracy by length of a cell.
pub struct Curve {
    pub cell: &'static str,
    /// The learning rate with the best validation accuracy.
    pub learning_rate: f64,
    /// Validation accuracy of each seed.
    pub validation: Vec<f64>,
    /// `[seed][length]`
    pub accuracies: Vec<Vec<f64>>,
}

impl Curve {
    /// Mean and standard deviation over the seeds at the length with an index.
    pub fn at(&self, index: usize) -> (f64, f64) {
        let values: Vec<f64> = self.accuracies.iter().map(|accuracies| accuracies[index]).collect();
        mean_and_deviation(&values)
    }

    /// Mean accuracy at each length.
    pub fn means(&self) -> Vec<f64> {
        let lengths = self.accuracies.first().map_or(0, Vec::len);
        (0..lengths).map(|index| self.at(index).0).collect()
    }
}

impl Curves {
    /// Prints a table: a row per cell, a column per length.
    pub fn print(&self) -> Result<(), Failure> {
        let Parameters { length, difficulty, test_lengths, .. } = &self.parameters;
        let Problem { name, summary, difficulty: meaning, .. } = self.problem;
        let seeds = self.cells.first().map_or(0, |curve| curve.accuracies.len());
        let mut table = Table::new();
        table.load_style(table_style());
        let lengths = test_lengths.iter().map(usize::to_string);
        table.set_header(["accuracy at length".to_owned(), "learning rate".to_owned()].into_iter().chain(lengths));
        for curve in &self.cells {
            let value = |index: usize| match curve.at(index) {
                (mean, _) if seeds < 2 => format!("{mean:.3}"),
                (mean, deviation) => format!("{mean:.3} ± {deviation:.3}"),
            };
            let head = [curve.cell.to_owned(), format!("{:e}", curve.learning_rate)];
            table.add_row(head.into_iter().chain((0..test_lengths.len()).map(value)));
        }
        let (baseline, accuracies) = &self.baseline;
        let accuracies = accuracies.iter().map(|accuracy| format!("{accuracy:.3}"));
        table.add_row([(*baseline).to_owned(), String::new()].into_iter().chain(accuracies));
        table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        let mut out = std::io::stdout().lock();
        writeln!(out, "{name}: {summary}; {} is {difficulty}; trained on lengths up to {length}", meaning.meaning)?;
        writeln!(out, "{table}\n{}\n", self.summary())?;
        Ok(())
    }

    /// The curves as JSON.
    pub fn json(&self) -> Value {
        let cell = |curve: &Curve| {
            let (means, deviations): (Vec<f64>, Vec<f64>) =
                (0..self.parameters.test_lengths.len()).map(|index| curve.at(index)).unzip();
            let value = json!({
                "learning_rate": curve.learning_rate,
                "validation": curve.validation,
                "mean": means,
                "standard deviation": deviations,
                "values": curve.accuracies,
            });
            (curve.cell.to_owned(), value)
        };
        let (baseline, accuracies) = (self.baseline.0, &self.baseline.1);
        json!({
            "difficulty": self.parameters.difficulty,
            "metric": "accuracy",
            "baselines": { baseline: accuracies },
            "models": self.cells.iter().map(cell).collect::<Map<String, Value>>(),
            "summary": self.summary(),
        })
    }

    /// A sentence that names the cells that generalize to twice and to eight times the training length; if neither was tested, to the longest
    /// one.
    fn summary(&self) -> String {
        let Parameters { length, test_lengths, .. } = &self.parameters;
        let index = |factor: &usize| test_lengths.iter().position(|tested| *tested == factor * length);
        let mut tested: Vec<usize> = FACTORS.iter().filter_map(index).collect();
        if tested.is_empty() {
            tested.extend(test_lengths.len().checked_sub(1));
        }
        let clause = |&index: &usize| {
            let generalizes = |curve: &&Curve| curve.at(index).0 >= GENERALIZES;
            let names: Vec<&str> = self.cells.iter().filter(generalizes).map(|curve| curve.cell).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            format!("at length {}, {names}", test_lengths[index])
        };
        let clauses: Vec<String> = tested.iter().map(clause).collect();
        format!("Mean accuracy of at least {GENERALIZES}: {}.", clauses.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves(test_lengths: &str) -> Curves {
        let options = format!("length = 40\ntest_lengths = {test_lengths}");
        let parameters = Parameters::of(&options.parse().unwrap()).unwrap();
        let curve = |cell, accuracies: [[f64; 3]; 2]| Curve {
            cell,
            learning_rate: 3e-3,
            validation: vec![1.0; 2],
            accuracies: accuracies.map(Vec::from).to_vec(),
        };
        let cells = vec![
            curve("rnn", [[1.0, 0.99, 0.95], [1.0, 0.97, 0.93]]),
            curve("gru", [[1.0, 0.9, 0.5], [1.0, 0.96, 0.52]]),
        ];
        let baseline = ("most frequent target", vec![0.5; 3]);
        Curves { problem: parameters.problem, parameters, baseline, cells }
    }

    #[test]
    fn the_summary_names_the_cells_that_generalize() {
        let of = |lengths: &str| curves(lengths).summary();
        assert_eq!(of("[40, 80, 320]"), "Mean accuracy of at least 0.9: at length 80, rnn, gru; at length 320, rnn.");
        assert_eq!(of("[10, 20, 30]"), "Mean accuracy of at least 0.9: at length 30, rnn.");
    }

    #[test]
    fn the_json_has_means_over_seeds() {
        let json = curves("[40, 80, 320]").json();
        let gru = &json["models"]["gru"];
        assert!((gru["mean"][1].as_f64().unwrap() - 0.93).abs() < 1e-12, "{gru}");
        let baseline = &json["baselines"]["most frequent target"];
        assert_eq!((gru["values"][1][2].as_f64(), baseline[0].as_f64()), (Some(0.52), Some(0.5)));
    }
}
