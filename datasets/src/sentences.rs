//! Built-in running text: the completed sentences of [`agreement`].

use crate::agreement;
use crate::catalog::{Data, Dataset, Origin};
use crate::classification::Example;
use crate::corpus::Corpus;

/// Metadata of the dataset.
pub static DATASET: Dataset = Dataset {
    name: "sentences",
    summary: "6,000 sentences of `agreement` as running text. Built in",
    example: "the keys to the cabinet ",
    license: "same as seqzoo",
    origin: Origin::BuiltIn(|| Data::Text(load())),
};

/// Sentences per split.
const TRAIN: usize = 6_000;
const REPORTED: usize = 600;

/// Generates the text, one sentence per line, identical on every machine.
pub fn load() -> Corpus {
    let data = agreement::load();
    let line = |example: &Example| format!("{} {}.\n", example.text, data.labels[example.label]);
    let text = |examples: &[Example], count: usize| examples.iter().take(count).map(line).collect();
    Corpus {
        train: text(&data.train, TRAIN),
        validation: text(&data.validation, REPORTED),
        test: text(&data.test, REPORTED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classification::Split;

    #[test]
    fn every_line_is_a_completed_sentence() {
        let corpus = load();
        assert_eq!(corpus, load());
        for split in Split::ALL {
            let lines: Vec<&str> = corpus.split(split).lines().collect();
            assert!(lines.len() >= REPORTED);
            assert!(lines.iter().all(|line| line.ends_with(" is.") || line.ends_with(" are.")), "{:?}", lines[0]);
        }
    }
}
