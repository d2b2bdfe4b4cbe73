//! Part-of-speech tagging of English web text: Universal Dependencies English EWT with its published splits, CC BY-SA 4.0.
//!
//! Silveira et al., "A gold standard dependency corpus for English", LREC 2014; Nivre et al., "Universal Dependencies
//! v2", LREC 2020. The file format is [`conllu`](crate::conllu).

use std::path::Path;

use crate::DataError;
use crate::catalog::{Data, Dataset, Origin, Source};
use crate::cleaning::Cleaning;
use crate::conllu::Document;
use crate::tagging::{Sentence, Tagging};

/// Metadata of the dataset.
pub static DATASET: Dataset = Dataset {
    name: "pos",
    summary: "16,622 sentences of English web text with part-of-speech tags; UD English EWT, Silveira et al. 2014",
    example: "Time flies like an arrow.",
    license: "CC BY-SA 4.0",
    origin: Origin::Files { files: &FILES, load: |dir| load(dir).map(Data::Tagged) },
};

/// No digests: new releases change the files.
const FILES: [Source; 3] = [
    Source::new(
        "https://raw.githubusercontent.com/UniversalDependencies/UD_English-EWT/master/en_ewt-ud-train.conllu",
        "ud_english_ewt/en_ewt-ud-train.conllu",
        None,
    ),
    Source::new(
        "https://raw.githubusercontent.com/UniversalDependencies/UD_English-EWT/master/en_ewt-ud-dev.conllu",
        "ud_english_ewt/en_ewt-ud-dev.conllu",
        None,
    ),
    Source::optional(
        "https://raw.githubusercontent.com/UniversalDependencies/UD_English-EWT/master/en_ewt-ud-test.conllu",
        "ud_english_ewt/en_ewt-ud-test.conllu",
        None,
    ),
];

/// The universal part-of-speech tags, in alphabetical order.
pub const LABELS: [&str; 17] = [
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ",
    "SYM", "VERB", "X",
];

/// Loads the published splits from `dir` or `dir/ud_english_ewt`; the test split is optional.
///
/// # Errors
/// If a required file is missing, a file is not valid CoNLL-U, or a tag is not in [`LABELS`].
pub fn load(dir: &Path) -> Result<Tagging, DataError> {
    let folder = DATASET.folder(dir)?;
    let path = |name: &str| folder.join(format!("en_ewt-ud-{name}.conllu"));
    let test = path("test");
    Ok(Tagging {
        labels: LABELS.map(str::to_owned).to_vec(),
        train: read(&path("train"))?,
        validation: read(&path("dev"))?,
        test: if test.is_file() { read(&test)? } else { Vec::new() },
    })
}

fn read(path: &Path) -> Result<Vec<Sentence>, DataError> {
    let label = |(tag, line): (&str, usize)| {
        LABELS.iter().position(|label| *label == tag).ok_or_else(|| {
            let all = LABELS.join(", ");
            DataError::line(path, line, format!("invalid UPOS {tag:?} (column 4): expected one of {all}"))
        })
    };
    let document = Document::read(path)?;
    let cleaning = Cleaning::default();
    let token = |form: &str| cleaning.apply_to_token(form).into_owned();
    let labeled = document.sentences.iter().map(|sentence| {
        let labels = sentence.tags().into_iter().zip(sentence.lines()).map(label).collect::<Result<_, _>>()?;
        Ok(Sentence { tokens: sentence.forms().into_iter().map(token).collect(), labels })
    });
    labeled.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conllu(words: &[(&str, &str)]) -> String {
        let lines = (1..).zip(words).map(|(id, (form, tag))| format!("{id}\t{form}\t_\t{tag}\t_\t_\t_\t_\t_\t_\n"));
        format!("# text\n{}\n", lines.collect::<String>())
    }

    #[test]
    fn splits_are_files_and_errors_name_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("ud_english_ewt");
        std::fs::create_dir(&folder).unwrap();
        let write = |split: &str, text: &str| {
            std::fs::write(folder.join(format!("en_ewt-ud-{split}.conllu")), text).unwrap();
        };
        let failure = || load(dir.path()).unwrap_err().to_string();
        assert!(failure().contains(FILES[0].url), "{}", failure());
        write("train", &conllu(&[("Dogs", "NOUN"), ("bark", "VERB"), (".", "PUNCT")]));
        assert!(failure().contains("en_ewt-ud-dev.conllu"), "{}", failure());
        for tag in ["NN", "_"] {
            write("dev", &(conllu(&[("Go", "VERB")]) + &conllu(&[("Yes", "INTJ"), ("indeed", tag)])));
            let message = format!("en_ewt-ud-dev.conllu, line 6: invalid UPOS {tag:?}");
            assert!(failure().contains(&message) && failure().ends_with(&LABELS.join(", ")), "{}", failure());
        }
        write("dev", &conllu(&[("Yes", "INTJ")]));
        let data = load(dir.path()).unwrap();
        assert_eq!(data, load(&folder).unwrap());
        let tokens = ["Dogs", "bark", "."].map(str::to_owned).to_vec();
        assert_eq!(data.train, [Sentence { tokens, labels: vec![7, 15, 12] }]);
        assert_eq!((data.validation.len(), data.validation[0].labels[0], data.test.len()), (1, 6, 0));
        write("test", &conllu(&[("Yes", "INTJ")]));
        assert_eq!(load(dir.path()).unwrap().test, data.validation);
    }

    #[test]
    fn labels_are_in_alphabetical_order() {
        assert!(LABELS.is_sorted());
    }
}
