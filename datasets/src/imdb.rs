//! IMDB movie reviews, positive or negative, as published: Maas et al., "Learning word vectors for sentiment analysis",
//! ACL 2011.
//!
//! Accepts `aclImdb_v1.tar.gz`, its extracted folder, or an archive of the training half alone. The training half is sorted by
//! path, and every fifth review goes to the validation split; the test half, if present, is the test split.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::DataError;
use crate::catalog::{Data, Dataset, Origin, Source};
use crate::classification::{Bayes, Classification, Example};
use crate::cleaning::{Cleaning, CleaningStep};
use crate::reading::{self, Lines};
use crate::text::Tokenization;

/// Metadata of the dataset.
pub static DATASET: Dataset = Dataset {
    name: "imdb",
    summary: "25,000 (or 50,000) movie reviews, positive or negative; Maas et al. 2011",
    example: "a slow start, but what a moving story!",
    license: "research use; cite Maas et al. 2011",
    origin: Origin::Files { files: &FILES, load: |dir| load(dir).map(Data::Labeled) },
};

const FILES: [Source; 1] = [Source::new(
    "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
    "imdb/aclImdb_v1.tar.gz",
    Some("c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"),
)];

/// Maximum size of a review in bytes; the longest published one has 13,704.
const MAX_REVIEW: u64 = 1 << 20;

/// Loads the dataset from `dir`, its subfolder `imdb`, or an archive in either; `dir` may also be the archive itself.
///
/// # Errors
/// [`DataError`] if it is not found, the archive or a review is damaged, or the training half lacks a label.
pub fn load(dir: &Path) -> Result<Classification, DataError> {
    let source = find(dir)?;
    let mut reviews = match &source {
        Location::Archive(path) => from_archive(path)?,
        Location::Folder(path) => from_folder(path)?,
    };
    reviews.sort_by(|a, b| a.path.cmp(&b.path));
    let mut data = Classification {
        labels: vec!["negative".to_owned(), "positive".to_owned()],
        cleaning: Cleaning::default().with(CleaningStep::HtmlLineBreaks),
        bayes: Some(Bayes { level: Tokenization::Words, max_n: 2 }),
        ..Classification::default()
    };
    let mut in_train = 0;
    for Review { path, text } in reviews {
        let text = data.cleaning.apply(&text).into_owned();
        let example = Example { text, label: usize::from(path.contains("/pos/")), groups: Arc::default() };
        if path.starts_with("test/") {
            data.test.push(example);
            continue;
        }
        let split = if in_train % 5 == 0 { &mut data.validation } else { &mut data.train };
        split.push(example);
        in_train += 1;
    }
    for label in 0..data.labels.len() {
        if !data.train.iter().any(|example| example.label == label) {
            let detail = format!("no {} review in its training half", data.labels[label]);
            return Err(DataError::damaged(source.path(), detail));
        }
    }
    Ok(data)
}

enum Location {
    Archive(PathBuf),
    Folder(PathBuf),
}

impl Location {
    fn path(&self) -> &Path {
        match self {
            Location::Archive(path) | Location::Folder(path) => path,
        }
    }
}

/// A review and its path below `aclImdb`, such as `train/pos/0_9.txt`.
struct Review {
    path: String,
    text: String,
}

fn find(dir: &Path) -> Result<Location, DataError> {
    if dir.is_file() {
        return Ok(Location::Archive(dir.to_owned()));
    }
    for dir in [dir.join("imdb"), dir.to_owned()] {
        for folder in [dir.join("aclImdb"), dir.clone()] {
            if folder.join("train/pos").is_dir() {
                return Ok(Location::Folder(folder));
            }
        }
        for archive in ["aclImdb_v1.tar.gz", "aclImdb_train.tar.gz"].map(|name| dir.join(name)) {
            if archive.is_file() {
                return Ok(Location::Archive(archive));
            }
        }
    }
    Err(DATASET.missing(dir))
}

fn from_archive(path: &Path) -> Result<Vec<Review>, DataError> {
    let mut archive = tar::Archive::new(reading::open(path)?);
    let mut reviews = Vec::new();
    let damaged = |error: std::io::Error| DataError::damaged(path, error);
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let member = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if let Some(member) = review_path(&member) {
            let text = read_review(&mut entry, entry_name(path, &member))?;
            reviews.push(Review { path: member, text });
        }
    }
    // The archive ends before its compressed stream; reading the rest verifies the checksum of the stream.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).map_err(damaged)?;
    Ok(reviews)
}

fn entry_name(archive: &Path, member: &str) -> PathBuf {
    PathBuf::from(format!("{} ({member})", archive.display()))
}

fn from_folder(folder: &Path) -> Result<Vec<Review>, DataError> {
    let mut reviews = Vec::new();
    for half in ["train/neg", "train/pos", "test/neg", "test/pos"] {
        let dir = folder.join(half);
        if !dir.is_dir() && half.starts_with("test") {
            continue;
        }
        for entry in fs::read_dir(&dir).map_err(|source| DataError::unreadable(&dir, source))? {
            let path = entry.map_err(|source| DataError::unreadable(&dir, source))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(member) = review_path(&format!("{half}/{name}")) {
                let mut file = File::open(&path).map_err(|source| DataError::unreadable(&path, source))?;
                let text = read_review(&mut file, path)?;
                reviews.push(Review { path: member, text });
            }
        }
    }
    Ok(reviews)
}

/// The path of a labeled review from `train/` or `test/` on; `None` for other archive members.
fn review_path(member: &str) -> Option<String> {
    let member = member.trim_start_matches("./").trim_start_matches("aclImdb/");
    let halves = ["train/pos/", "train/neg/", "test/pos/", "test/neg/"];
    let is_review = halves.iter().any(|half| member.starts_with(half)) && member.ends_with(".txt");
    is_review.then(|| member.to_owned())
}

fn read_review(source: &mut impl Read, path: PathBuf) -> Result<String, DataError> {
    let mut bytes = Vec::new();
    let source = reading::decompressed(BufReader::new(source));
    let read = source.and_then(|source| source.take(MAX_REVIEW + 1).read_to_end(&mut bytes));
    read.map_err(|error| DataError::damaged(&path, error))?;
    if bytes.len() as u64 > MAX_REVIEW {
        return Err(DataError::damaged(&path, "a review is larger than 1 MiB"));
    }
    Lines::new(&path, &bytes[..])?.into_text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, read::GzDecoder, write::GzEncoder};

    /// The bytes of an archive with `reviews` reviews per label and half.
    fn archive(reviews: usize, halves: &[&str]) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for half in halves {
            for (label, word) in [("neg", "dull"), ("pos", "great")] {
                for id in 0..reviews {
                    let text = format!("A {word} film,<br /><br />number {id}.");
                    let mut header = tar::Header::new_gnu();
                    header.set_size(text.len() as u64);
                    header.set_mode(0o644);
                    let path = format!("aclImdb/{half}/{label}/{id}_7.txt");
                    tar.append_data(&mut header, path, text.as_bytes()).unwrap();
                }
            }
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    fn unpack(bytes: &[u8], dir: &Path) {
        tar::Archive::new(GzDecoder::new(bytes)).unpack(dir).unwrap();
    }

    #[test]
    fn archives_and_folders_yield_the_same_training_and_validation_splits() {
        let dir = tempfile::tempdir().unwrap();
        let [whole, half, folder] = ["whole", "half", "folder"].map(|name| dir.path().join(name));
        for path in [&whole, &half, &folder] {
            fs::create_dir_all(path.join("imdb")).unwrap();
        }
        fs::write(whole.join("imdb/aclImdb_v1.tar.gz"), archive(10, &["test", "train"])).unwrap();
        fs::write(half.join("imdb/aclImdb_train.tar.gz"), archive(10, &["train"])).unwrap();
        unpack(&archive(10, &["test", "train"]), &folder.join("imdb"));
        let [whole, half, folder] = [whole, half, folder].map(|path| load(&path).unwrap());
        assert_eq!(whole.digest(), half.digest());
        assert_eq!(whole.digest(), folder.digest());
        assert_eq!([whole.train.len(), whole.validation.len(), whole.test.len(), half.test.len()], [16, 4, 20, 0]);
        assert_eq!(whole.validation[0].text, "A dull film,  number 0.");
        assert_eq!(whole.validation.iter().filter(|example| example.label == 1).count(), 2);
    }

    #[test]
    fn truncated_or_corrupted_archives_are_rejected() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("aclImdb_v1.tar.gz");
        let bytes = archive(10, &["train"]);
        for length in [bytes.len() / 2, bytes.len() - 4, bytes.len() - 9] {
            fs::write(&path, &bytes[..length]).unwrap();
            assert!(matches!(load(&path), Err(DataError::Damaged { .. })), "truncated to {length} bytes");
        }
        let mut flipped = bytes.clone();
        let middle = bytes.len() / 2;
        flipped[middle] ^= 0x10;
        fs::write(&path, flipped).unwrap();
        let error = load(&path).unwrap_err().to_string();
        assert!(error.contains("aclImdb_v1.tar.gz") && error.contains("damaged"), "{error}");
    }

    #[test]
    fn the_error_for_missing_data_names_the_url() {
        let dir = tempfile::tempdir().unwrap();
        let error = load(dir.path()).unwrap_err();
        assert!(matches!(error, DataError::Missing { .. }) && error.to_string().contains(FILES[0].url), "{error}");
    }
}
