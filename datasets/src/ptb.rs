//! Words of the Penn Treebank in Mikolov's preparation: 10,000 kinds, a sentence a line, rare ones as `<unk>`. Mikolov et al.,
//! "Recurrent neural network based language model", Interspeech 2010.

use std::path::Path;

use crate::DataError;
use crate::corpus::Corpus;

/// Where it is kept.
pub const SOURCE: &str = "https://www.fit.vutbr.cz/~imikolov/rnnlm/simple-examples.tgz";

/// Loads `ptb.train.txt`, `ptb.valid.txt` and, if it is there, `ptb.test.txt` from `dir` or its folder `ptb`.
///
/// # Errors
/// If one of the first two is not there, empty, or no text.
pub fn load(dir: &Path) -> Result<Corpus, DataError> {
    let folder = [dir.join("ptb"), dir.to_owned()].into_iter().find(|folder| folder.join("ptb.train.txt").is_file());
    let folder = folder.ok_or_else(|| DataError::Missing { dataset: "ptb", dir: dir.to_owned(), hint: hint() })?;
    let read = |name: &str| {
        let path = folder.join(name);
        let text = Corpus::text(&path)?;
        if text.split_whitespace().nth(1).is_none() {
            return Err(DataError::Unfit { path, detail: "fewer than two words, so nothing to predict".to_owned() });
        }
        Ok(text)
    };
    let test = if folder.join("ptb.test.txt").is_file() { read("ptb.test.txt")? } else { String::new() };
    Ok(Corpus { train: read("ptb.train.txt")?, validation: read("ptb.valid.txt")?, test })
}

/// How to get the data.
pub fn hint() -> String {
    format!("download {SOURCE} (35 MB) and put ptb.train.txt and ptb.valid.txt of its folder data into DIR/ptb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_files_and_what_is_wrong_is_told_by_file() {
        let dir = tempfile::tempdir().unwrap();
        assert!(load(dir.path()).unwrap_err().to_string().contains(SOURCE));
        let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
        write("ptb.train.txt", b" no it was n't <unk> N \n so it goes \n");
        assert!(load(dir.path()).unwrap_err().to_string().contains("ptb.valid.txt"));
        write("ptb.valid.txt", b" \n");
        assert!(load(dir.path()).unwrap_err().to_string().contains("ptb.valid.txt: fewer than two words"));
        write("ptb.valid.txt", b"so it \xff\n");
        assert!(load(dir.path()).unwrap_err().to_string().contains("byte 7 is not UTF-8"));
        write("ptb.valid.txt", b"so it goes\n");
        let corpus = load(dir.path()).unwrap();
        assert!(corpus.train.contains("<unk> N") && corpus.validation == "so it goes\n" && corpus.test.is_empty());
    }
}
