use std::path::Path;

use super::*;
use crate::DataError;
use crate::classification::{self, Classification};
use crate::corpus::{self, Corpus};
use crate::multi_label::{self, MultiLabel};
use crate::reading::variants;
use crate::records::Split;
use crate::tagging::{self, Tagging};
use crate::transduction;

fn settings(text: &str) -> DataSettings {
    toml::from_str(text).unwrap()
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn reviews(count: usize) -> String {
    let rows = (0..count).map(|row| format!("{};review {row}\n", if row % 2 == 0 { "good" } else { "bad" }));
    std::iter::once("mark;text\n".to_owned()).chain(rows).collect()
}

#[test]
fn settings_are_read_and_written() {
    let text = "format = \"csv\"\nfiles = \"a.csv\"\n\n[columns]\nlabel = \"mark\"\ntext = \"text\"\n\n[split]\nby = \"every\"\n\
                validation = 5\n\n[options]\nseparator = \";\"\n";
    assert_eq!(settings(text).to_toml(), text);
    assert_eq!(settings("files = [\"a\", \"b\"]").to_toml(), "files = [\"a\", \"b\"]\n");
    for (text, part) in [
        ("fromat = \"csv\"", "unknown field `fromat`"),
        ("columns = { label = 3 }", "expected the name of a column or a list of names"),
        ("files = 3", "expected a path or a list of paths"),
        ("cleaning = [\"rot13\"]", "rot13"),
    ] {
        let error = toml::from_str::<DataSettings>(text).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn data_of_ones_own_are_described_like_published_ones() {
    let dir =
        folder(&[("mine/reviews.csv", &reviews(40)), ("test.csv", &reviews(6)), ("mine/a/x.txt", "So it goes.\n")]);
    let own = "format = \"csv\"\ncolumns = { text = \"text\", label = \"mark\" }\n";
    let of = |more: &str| settings(&format!("{own}{more}")).load(dir.path(), &classification::DATA).unwrap();
    let sizes = |splits: &Splits| Split::ALL.map(|split| splits.split(split).len());
    let splits = of("files = \"mine/reviews.csv\"");
    assert_eq!(sizes(&splits), [36, 4, 0]);
    assert_eq!(sizes(&of("train = \"mine/reviews.csv\"\ntest = \"test.csv\"")), [36, 4, 6]);
    assert_eq!(sizes(&of("train = \"mine/reviews.csv\"\nvalidation = \"test.csv\"")), [40, 6, 0]);
    assert_eq!(
        sizes(&of(
            "files = [\"mine/reviews.csv\", \"test.csv\"]\ndistinct = true\nsplit = { by = \"every\", validation = 2 }"
        )),
        [20, 20, 0]
    );
    let data = Classification::from_records(&splits).unwrap();
    assert_eq!(data.labels, ["bad", "good"]);
    // The same columns for another task.
    let running = settings("format = \"csv\"\ncolumns = { text = \"text\" }\nfiles = \"mine/reviews.csv\"");
    let splits = running.load(dir.path(), &corpus::DATA).unwrap();
    let corpus = Corpus::from_records(&splits).unwrap();
    assert!(corpus.train.starts_with("review 0\nreview 1\n"), "{}", corpus.train);
    // An absolute path, and a folder.
    let path = dir.path().join("test.csv");
    let absolute =
        settings(&format!("{own}files = {:?}\nsplit = {{ by = \"rows\", validation = 0.5 }}", path.display()));
    assert_eq!(sizes(&absolute.load(Path::new("elsewhere"), &classification::DATA).unwrap()), [3, 3, 0]);
    let text =
        settings("format = \"text\"\ntrain = \"mine/a\"\nvalidation = \"mine/a/x.txt\"\ncolumns = { text = \"text\" }");
    assert_eq!(sizes(&text.load(dir.path(), &corpus::DATA).unwrap()), [1, 1, 0]);
}

#[test]
fn values_replace_those_of_a_dataset() {
    let dir = folder(&[
        ("ptb/ptb.train.txt", "no it was n't\n"),
        ("ptb/ptb.valid.txt", "so it goes\n"),
        ("own.txt", "quite another text\n"),
    ]);
    let text = |settings: &str, split: Split| {
        let splits = toml::from_str::<DataSettings>(settings).unwrap().load(dir.path(), &corpus::DATA).unwrap();
        splits.split(split).joined("text", "text").unwrap()
    };
    assert_eq!(text("dataset = \"ptb\"", Split::Validation), "so it goes\n");
    let own = "dataset = \"ptb\"\nvalidation = \"own.txt\"";
    assert_eq!([text(own, Split::Train), text(own, Split::Validation)], ["no it was n't\n", "quite another text\n"]);
    // Folders of a path may be missing for a published dataset, but not for the user's own files.
    let own = settings("dataset = \"ptb\"\nvalidation = \"ptb/own.txt\"");
    let error = own.load(dir.path(), &corpus::DATA).unwrap_err().to_string();
    assert!(error.starts_with("cannot read ") && error.contains("ptb/own.txt"), "{error}");
    let misspelled = settings("dataset = \"ptb\"\noptions = { encodng = \"latin-1\" }");
    let error = misspelled.check(&corpus::DATA).unwrap_err().to_string();
    assert!(error.contains("did you mean `encoding`?"), "{error}");
    let execute = settings("dataset = \"execute\"\ncolumns = { groups = \"nesting\" }");
    let columns = execute.load(dir.path(), &transduction::DATA).unwrap().columns;
    assert_eq!((columns.several("groups"), columns.get("source")), (&["nesting".to_owned()][..], Some("program")));
}

#[test]
fn columns_and_fields_of_a_dataset_for_another_task_are_not_read() {
    let program = settings("dataset = \"recall\"\ncolumns = { text = \"text\" }");
    let splits = program.load(Path::new(""), &corpus::DATA).unwrap();
    assert_eq!(splits.columns.roles().collect::<Vec<_>>(), ["text"]);
    assert!(!Corpus::from_records(&splits).unwrap().train.is_empty());
    let review = "A dull film.\n".repeat(12);
    let dir = folder(&[("aclImdb/train/neg/0_1.txt", &review), ("aclImdb/train/pos/0_9.txt", &review)]);
    let reviews = "dataset = \"imdb\"\nsplit = { by = \"characters\", validation = 0.1 }";
    let corpus = Corpus::from_records(&settings(reviews).load(dir.path(), &corpus::DATA).unwrap()).unwrap();
    assert!(corpus.train.starts_with("A dull film.\n") && corpus.validation.len() > 10);
    let error = settings("dataset = \"ptb\"\nlabels = [\"a\"]").check(&corpus::DATA).unwrap_err().to_string();
    assert!(error.contains("data.labels") && error.contains("task language-model does not use it"), "{error}");
}

#[test]
fn invalid_values_are_refused_with_the_field_and_the_way_out() {
    let own = "format = \"csv\"\ncolumns = { text = \"text\", label = \"mark\" }\n";
    for (text, parts) in [
        ("dataset = \"nmes\"".to_owned(), ["data.dataset = nmes", "did you mean `names`?"]),
        ("format = \"cvs\"".to_owned(), ["data.format = cvs", "did you mean `csv`?"]),
        ("dataset = \"recall\"\nfiles = \"a.csv\"".to_owned(), ["data.files", "recall is generated"]),
        ("dataset = \"recall\"\nlabels = [\"a\"]".to_owned(), ["data.labels", "recall is generated"]),
        (format!("{own}files = \"a\"\ntest = \"b\""), ["data.test = b", "not both"]),
        (format!("{own}test = \"b\""), ["data.test = b", "data.train"]),
        (format!("{own}files = \"a\"\nseason = 7"), ["data.season = 7", "task classification does not use it"]),
        (
            format!("{own}files = \"a\"\nsplit = {{ by = \"characters\", validation = 0.1 }}"),
            ["data.split.by = characters", "whole texts"],
        ),
        (
            "format = \"csv\"\ncolumns = { lable = \"x\" }".to_owned(),
            ["data.columns.lable = \"x\"", "it uses text, label, groups"],
        ),
        (
            "format = \"csv\"\ncolumns = { text = [\"x\", \"y\"] }".to_owned(),
            ["data.columns.text = [", "the name of one column"],
        ),
        (
            format!("{own}train = \"a\"\nvalidation = \"b\"\nsplit = {{ by = \"every\", validation = 3 }}"),
            ["data.split", "conflicts with data.validation"],
        ),
        (
            format!("{own}files = \"a\"\nsplit = {{ by = \"rows\", validation = 1.5 }}"),
            ["data.split.validation = 1.5", "fraction"],
        ),
    ] {
        let error = settings(&text).check(&classification::DATA).unwrap_err();
        assert!(matches!(error, DataError::Setting { .. }), "{error:?}");
        let error = error.to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{text}: {error}");
        assert!(!error.contains("--"), "only the program has flags: {error}");
    }
    assert!(matches!(settings(own).load(Path::new(""), &classification::DATA), Err(DataError::NoFile)));
    assert!(settings(own).check(&classification::DATA).is_ok(), "files may be given later");
}

#[test]
fn errors_in_columns_and_labels_name_the_line() {
    let dir = folder(&[
        ("train.csv", &reviews(20)),
        ("valid.csv", &(reviews(2) + "odd;review\n")),
        ("one.csv", "text\nx\ny\n"),
        ("none.csv", "mark;text\n"),
    ]);
    let failure = |text: &str| {
        let settings = settings(text);
        let is_of = |spec: &&DataSpec| spec.fits(&settings.columns);
        let spec = [&classification::DATA, &tagging::DATA, &corpus::DATA].into_iter().find(is_of).unwrap();
        let convert = match spec.task {
            "tagging" => |splits: &Splits| Tagging::from_records(splits).map(drop),
            _ => |splits: &Splits| Classification::from_records(splits).map(drop),
        };
        settings
            .load(dir.path(), spec)
            .and_then(|splits| convert(&splits))
            .unwrap_err()
            .to_string()
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned()
    };
    let own = "format = \"csv\"\ntrain = \"train.csv\"\nvalidation = \"valid.csv\"\n";
    let error =
        failure(&format!("{own}labels = [\"bad\", \"good\"]\ncolumns = {{ text = \"text\", label = \"mark\" }}"));
    assert_eq!(
        error,
        "valid.csv, line 4: invalid label \"odd\": expected one of bad, good; name all labels in data.labels"
    );
    let error = failure(&format!("{own}columns = {{ text = \"text\", label = \"marks\" }}"));
    assert!(
        error.starts_with("train.csv, line 1: no column `marks` to use as label (did you mean `mark`?)"),
        "{error}"
    );
    let error = failure(&format!("{own}columns = {{ tokens = \"text\", tags = \"mark\" }}"));
    assert_eq!(
        error,
        "train.csv, line 2: 2 tokens in column `text`, but 1 tag in column `mark`; expected one tag per token"
    );
    let error =
        failure("format = \"csv\"\ntrain = \"train.csv\"\nvalidation = \"none.csv\"\ncolumns = { text = \"text\" }");
    assert_eq!(error, "none.csv: no rows for data.validation");
    let error = failure(
        "format = \"csv\"\nfiles = [\"train.csv\", \"one.csv\"]\ncolumns = { text = \"text\", label = \"mark\" }",
    );
    let expected =
        "one.csv: column `mark` differs: the columns are `text`, but those of the previous files are `mark`, `text`";
    assert_eq!(error, expected);
}

/// Converts records, and returns the names of the labels.
type Labels = fn(&Splits) -> Result<Vec<String>, DataError>;

#[test]
fn labels_of_a_divided_table_are_those_of_all_rows() {
    let table = |others: &str| {
        let mark = |row: usize| if row.is_multiple_of(2) { "yes" } else { "no" };
        let rows: String = (0..40).map(|row| format!("text {row},{}{others}\n", mark(row))).collect();
        format!("text,mark\n{rows}lonely text,once{others}\n")
    };
    let dir = folder(&[("marks.csv", &table("")), ("tags.csv", &table(" no")), ("test.csv", "text,mark\nx,never\n")]);
    let load = |columns: &str, spec: &'static DataSpec, labels: Labels, files: &str| {
        let text = format!("format = \"csv\"\ncolumns = {{ {columns} }}\n{files}");
        settings(&text).load(dir.path(), spec).and_then(|splits| labels(&splits))
    };
    let mut rules: Vec<String> = (1..=3).map(|fold| format!("by = \"folds\", folds = 3, fold = {fold}")).collect();
    rules.extend((0..5).map(|seed| format!("by = \"shuffle\", validation = 0.2, test = 0.4, seed = {seed}")));
    rules.push("by = \"rows\", validation = 0.1, test = 0.1".to_owned());
    let tasks: [(&str, &str, &'static DataSpec, Labels); 3] = [
        ("text = \"text\", label = \"mark\"", "marks.csv", &classification::DATA, |splits| {
            Ok(Classification::from_records(splits)?.labels)
        }),
        ("text = \"text\", labels = \"mark\"", "marks.csv", &multi_label::DATA, |splits| {
            Ok(MultiLabel::from_records(splits)?.labels)
        }),
        ("tokens = \"text\", tags = \"mark\"", "tags.csv", &tagging::DATA, |splits| {
            Ok(Tagging::from_records(splits)?.labels)
        }),
    ];
    for (columns, file, spec, labels) in tasks {
        for rule in &rules {
            let found = load(columns, spec, labels, &format!("files = \"{file}\"\nsplit = {{ {rule} }}")).unwrap();
            assert_eq!(found, ["no", "once", "yes"], "{} by {rule}", spec.task);
        }
    }
    // A test split with files of its own adds no label.
    let (columns, _, spec, labels) = tasks[0];
    let error = load(columns, spec, labels, "train = \"marks.csv\"\ntest = \"test.csv\"").unwrap_err().to_string();
    assert!(error.contains("test.csv, line 2: invalid label \"never\""), "{error}");
}

#[test]
fn files_about_the_others_are_skipped_and_errors_say_how_to_read_one_file() {
    let dir = folder(&[("mine/README.md", "Reviews"), ("mine/_about.txt", "us"), ("mine/reviews.csv", &reviews(40))]);
    let reviews = reviews(40);
    let described: [(&str, &[u8]); 3] =
        [("_about.txt", b"us"), ("LICENSE", b"free"), ("licensed/reviews.csv", reviews.as_bytes())];
    std::fs::write(dir.path().join("all.zip"), variants::zip(&described)).unwrap();
    let load = |location: &str| {
        let columns = "columns = { text = \"text\", label = \"mark\" }";
        settings(&format!("{columns}\nfiles = \"{location}\"")).load(dir.path(), &classification::DATA)
    };
    for location in ["mine", "all.zip"] {
        let splits = load(location).unwrap();
        assert_eq!(splits.train.len() + splits.validation.len(), 40, "{location}");
        let note = "2 files named like documentation were skipped; first: ";
        assert!(splits.notes.len() == 1 && splits.notes[0].starts_with(note), "{:?}", splits.notes);
    }
    let labels = folder(&[("labels/praise.txt", "good\nfine\n"), ("labels/NOTICE.txt", "take care\nbeware\n")]);
    let only = settings("files = \"labels\"").load(labels.path(), &classification::DATA).map(drop).unwrap_err();
    let expected = "labels: praise.txt is the only file, so that all texts would have one label; named like documentation and skipped: \
                    NOTICE.txt";
    assert!(only.to_string().starts_with(expected), "{only}");
    let two: [(&str, &[u8]); 2] = [("a.csv", reviews.as_bytes()), ("b.csv", b"x,y\n1,2\n")];
    std::fs::write(dir.path().join("two.zip"), variants::zip(&two)).unwrap();
    let error = load("two.zip").unwrap_err().to_string();
    assert!(error.contains("two.zip (b.csv): column `mark` differs"), "{error}");
    assert!(error.ends_with("to read only one, name it, such as two.zip/a.csv"), "{error}");
    assert_eq!(load("two.zip/a.csv").unwrap().train.len(), 36);
}

#[test]
fn a_folder_or_archive_with_files_of_each_split_is_not_divided() {
    let (train, valid, test) = (reviews(40), reviews(6), reviews(8));
    let dir = folder(&[("mine/train.csv", &train), ("mine/valid.csv", &valid), ("mine/test.csv", &test)]);
    let files: [(&str, &[u8]); 3] =
        [("README", b"us"), ("data/dev.csv", valid.as_bytes()), ("data/train.csv", train.as_bytes())];
    std::fs::write(dir.path().join("two.zip"), variants::zip(&files)).unwrap();
    let load = |location: &str, wanted: &[Split]| {
        let columns = "columns = { text = \"text\", label = \"mark\" }";
        let own = settings(&format!("{columns}\nfiles = \"{location}\""));
        let splits = own.load_splits(dir.path(), &classification::DATA, wanted).unwrap();
        let sizes = Split::ALL.map(|split| splits.split(split).len());
        (sizes, splits.is_divided, splits.notes)
    };
    let (sizes, is_divided, notes) = load("mine", &Split::ALL);
    assert_eq!((sizes, is_divided), ([40, 6, 8], false));
    assert_eq!(notes, ["mine: train.csv, valid.csv and test.csv are the training, validation and test split"]);
    assert_eq!(load("mine", &[Split::Test]).0, [0, 0, 8]);
    for location in ["two.zip", "two.zip/data"] {
        let (sizes, _, notes) = load(location, &Split::ALL);
        assert_eq!(sizes, [40, 6, 0], "{location}");
        assert_eq!(notes, [format!("{location}: train.csv and dev.csv are the training and validation split")]);
    }
    std::fs::remove_file(dir.path().join("mine/valid.csv")).unwrap();
    let (sizes, _, notes) = load("mine", &Split::ALL);
    assert_eq!(sizes, [36, 4, 8]);
    assert!(notes[0].ends_with("the validation split is a part of the training files"), "{notes:?}");
    std::fs::write(dir.path().join("mine/extra.csv"), &valid).unwrap();
    let (sizes, is_divided, notes) = load("mine", &Split::ALL);
    assert_eq!((sizes.iter().sum::<usize>(), is_divided), (54, true));
    let part = "test.csv are not read as the training and test split, since there is also extra.csv";
    assert!(notes[0].contains(part), "{notes:?}");
}

#[test]
fn errors_about_locations_without_files_say_what_is_there() {
    let dir = folder(&[("empty.tar", &"\0".repeat(1024))]);
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    for (location, problem) in
        [("empty", "folder has no files"), ("nothing.csv", "cannot read"), ("empty.tar/a", "archive has no such file")]
    {
        let text = format!("format = \"csv\"\nfiles = \"{location}\"\ncolumns = {{ text = \"text\" }}");
        let error = settings(&text).load(dir.path(), &corpus::DATA).map(drop).unwrap_err().to_string();
        assert!(error.contains(location) && error.contains(problem), "{error}");
        assert!(!error.contains("entity"), "{error}");
    }
}

#[test]
fn no_break_spaces_are_part_of_tokens_and_not_of_tags() {
    let dir = folder(&[
        ("a.conll", "10\u{a0}000 O\nParis B-LOC\u{a0}\nLyon B-LOC\n"),
        ("pairs/seq.in", "10\u{a0}000 Paris Lyon\n"),
        ("pairs/seq.out", "O B-LOC\tB-LOC\u{a0}\n"),
    ]);
    for location in ["a.conll", "pairs"] {
        let own = settings(&format!("train = \"{location}\"\nvalidation = \"{location}\""));
        let splits = own.load(dir.path(), &tagging::DATA).unwrap();
        let [tokens, tags] = ["tokens", "tags"].map(|role| {
            let name = splits.columns.get(role).unwrap();
            splits.train.lists("of the role", name).unwrap()[0].clone()
        });
        assert_eq!(tokens, ["10\u{a0}000", "Paris", "Lyon"], "{location}");
        assert_eq!(tags, ["O", "B-LOC", "B-LOC"], "{location}");
    }
}

#[test]
fn labeled_lines_are_texts_after_their_label() {
    let lines = "neg dull\r\n\npos:very  a story, and what a story!\nneg\tlong \n";
    let dir = folder(&[("lines.txt", lines), ("bare.txt", "neg dull\n\npos\n"), ("blank.txt", " \n")]);
    let load = |file: &str, more: &str| {
        let own = "format = \"labeled-lines\"\ncolumns = { text = \"text\", label = \"label\" }";
        let settings = settings(&format!("{own}\ntrain = \"{file}\"\nvalidation = \"lines.txt\"\n{more}"));
        let splits = settings.load(dir.path(), &classification::DATA).map_err(|error| error.to_string())?;
        Classification::from_records(&splits).map_err(|error| error.to_string())
    };
    let data = load("lines.txt", "options = { sublabel = \":\" }").unwrap();
    assert_eq!(data.labels, ["neg", "pos"]);
    let texts: Vec<&str> = data.train.iter().map(|example| &*example.text).collect();
    assert_eq!(texts, ["dull", "a story, and what a story!", "long"]);
    assert_eq!(load("lines.txt", "").unwrap().labels, ["neg", "pos:very"]);
    let error = load("bare.txt", "").map(drop).unwrap_err();
    assert!(error.contains("bare.txt, line 3: expected a label, a space and a text"), "{error}");
    let error = load("blank.txt", "").map(drop).unwrap_err();
    assert!(error.contains("blank.txt: empty"), "{error}");
}

#[test]
fn only_wanted_splits_need_their_files() {
    let table = |rows: &str| format!("text,label\n{rows}");
    let dir = folder(&[("valid.csv", &table("a,x\nb,y\n")), ("test.csv", &table("c,x\nd,z\n"))]);
    let load = |files: &str, wanted: &[Split]| {
        let columns = "columns = { text = \"text\", label = \"label\" }";
        let splits = settings(&format!("{columns}\n{files}")).load_splits(dir.path(), &classification::DATA, wanted)?;
        let sizes = Split::ALL.map(|split| splits.split(split).len());
        Ok::<_, DataError>((sizes, Classification::from_records(&splits)?.labels))
    };
    let own = "train = \"gone.csv\"\nvalidation = \"valid.csv\"\ntest = \"test.csv\"";
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(load(own, &[Split::Validation]).unwrap(), ([0, 2, 0], names(&["x", "y"])));
    assert_eq!(load(own, &[Split::Validation, Split::Test]).unwrap(), ([0, 2, 2], names(&["x", "y", "z"])));
    assert_eq!(load("train = \"gone.csv\"\ntest = \"test.csv\"", &[Split::Test]).unwrap().0, [0, 0, 2]);
    let without_test = "train = \"valid.csv\"\nvalidation = \"valid.csv\"\ntest = \"gone.csv\"";
    assert_eq!(load(without_test, &[Split::Train, Split::Validation]).unwrap().0, [2, 2, 0]);
    assert!(load(own, &Split::ALL).unwrap_err().to_string().contains("gone.csv"));
}
