//! Running text, generated: the completed sentences of [`agreement`].

use super::{Generate, Generator, agreement};
use crate::records::{Column, Records};

/// The generator.
pub(super) static GENERATOR: Generator = Generator {
    name: "sentences",
    summary: "6,000 sentences of `agreement` as running text. Built in",
    example: "the keys to the cabinet ",
    roles: &[("text", "text")],
    groups: &[],
    labels: &[],
    baselines: &[],
    options: &[],
    generate: Generate::Fixed(generate),
};

/// Sentences per split.
const TRAIN: usize = 6_000;
const REPORTED: usize = 600;

/// The training, validation and test split, one sentence per row and line.
fn generate() -> [Records; 3] {
    let [train, validation, test] = agreement::generate();
    [(train, TRAIN), (validation, REPORTED), (test, REPORTED)].map(|(records, count)| {
        let [texts, verbs] = ["text", "verb"].map(|name| records.texts(name, name).expect("columns of agreement"));
        let lines = texts.iter().zip(verbs).take(count).map(|(text, verb)| format!("{text} {verb}.\n"));
        Records::new([("text", Column::text(lines))])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Corpus;
    use crate::records::Split;

    #[test]
    fn every_line_is_a_completed_sentence() {
        let splits = GENERATOR.splits(&toml::Table::new()).unwrap();
        let corpus = Corpus::from_records(&splits).unwrap();
        for split in Split::ALL {
            let lines: Vec<&str> = corpus.split(split).lines().collect();
            assert!(lines.len() >= REPORTED);
            assert!(lines.iter().all(|line| line.ends_with(" is.") || line.ends_with(" are.")), "{:?}", lines[0]);
        }
    }
}
