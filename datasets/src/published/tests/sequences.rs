//! Tagged sentences, running text, pairs, histories of users.

use super::*;

fn conllu(words: &[(&str, &str)]) -> String {
    let lines = (1..).zip(words).map(|(id, (form, tag))| format!("{id}\t{form}\t_\t{tag}\t_\t_\t_\t_\t_\t_\n"));
    format!("# text\n{}\n", lines.collect::<String>())
}

#[test]
fn splits_of_tagged_sentences_are_files_and_errors_name_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("ud_english_ewt");
    let put = |split: &str, text: &str| write(&folder, &format!("en_ewt-ud-{split}.conllu"), text);
    let tagged = |dir: &Path| -> Tagging { load("pos", dir, Tagging::from_records).unwrap() };
    put("train", &conllu(&[("Dogs", "NOUN"), ("bark", "VERB"), (".", "PUNCT")]));
    assert!(failure("pos", dir.path()).contains("en_ewt-ud-dev.conllu"));
    for tag in ["NN", "_"] {
        put("dev", &(conllu(&[("Go", "VERB")]) + &conllu(&[("Yes", "INTJ"), ("indeed", tag)])));
        let (message, error) =
            (format!("dev.conllu, line 6: invalid tag {tag:?} in column upos"), failure("pos", dir.path()));
        assert!(error.contains(&message) && error.ends_with("SYM, VERB, X"), "{error}");
    }
    put("dev", &conllu(&[("Yes", "INTJ")]));
    let data = tagged(dir.path());
    assert_eq!(data, tagged(&folder));
    assert!(data.labels.len() == 17 && data.labels.is_sorted());
    let tokens = ["Dogs", "bark", "."].map(str::to_owned).to_vec();
    assert_eq!(data.train, [Sentence { tokens, labels: vec![7, 15, 12], label: None }]);
    assert_eq!((data.validation.len(), data.validation[0].labels[0], data.test.len()), (1, 6, 0));
    put("test", &conllu(&[("Yes", "INTJ")]));
    assert_eq!(tagged(dir.path()).test, data.validation);
}

#[test]
fn requests_have_slots_and_an_intent() {
    let dir = tempfile::tempdir().unwrap();
    for split in ["train", "valid"] {
        write(dir.path(), &format!("snips/{split}/seq.in"), "play some jazz \nrate it 5\n");
        write(dir.path(), &format!("snips/{split}/seq.out"), "O O B-genre \nO O B-rating\n");
        write(dir.path(), &format!("snips/{split}/label"), "PlayMusic\nRateBook\n");
    }
    let data = load("snips", dir.path(), Tagging::from_records).unwrap();
    assert_eq!((data.labels.len(), data.sentence_labels.len()), (3, 2));
    let tokens = ["play", "some", "jazz"].map(str::to_owned).to_vec();
    assert_eq!(data.train[0], Sentence { tokens, labels: vec![2, 2, 0], label: Some(0) });
    write(dir.path(), "snips/valid/label", "PlayMusic\n");
    assert!(failure("snips", dir.path()).contains("valid/label, line 1: the file ends here, but seq.in has 2 lines"));
}

fn corpus(name: &str, dir: &Path) -> Corpus {
    load(name, dir, Corpus::from_records).unwrap()
}

#[test]
fn splits_of_the_treebank_are_files_and_errors_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "ptb.train.txt", " no it was n't <unk> N \n so it goes \n");
    assert!(failure("ptb", dir.path()).contains("ptb.valid.txt"));
    for (bytes, part) in [(&b" \n"[..], ": empty; expected text"), (b"so it \xff\n", ", line 1: not UTF-8")] {
        write(dir.path(), "ptb.valid.txt", bytes);
        assert!(failure("ptb", dir.path()).contains(&format!("ptb.valid.txt{part}")));
    }
    write(dir.path(), "ptb.valid.txt", "so it goes\n");
    let corpus = corpus("ptb", dir.path());
    assert!(corpus.train.contains("<unk> N") && corpus.validation == "so it goes\n" && corpus.test.is_empty());
}

#[test]
fn the_last_tenth_of_shakespeare_is_the_validation_split() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "tiny_shakespeare/input.txt", "To be, or not. ".repeat(20));
    for folder in ["", "tiny_shakespeare"] {
        let corpus = corpus("shakespeare", &dir.path().join(folder));
        assert_eq!([corpus.train.len(), corpus.validation.len(), corpus.test.len()], [270, 30, 0]);
    }
}

#[test]
fn commands_have_actions_and_no_validation_command_is_trained_on() {
    let dir = tempfile::tempdir().unwrap();
    let command = |number: usize| format!("IN: walk {number} OUT: I_WALK I_{number}\n");
    let commands = |from: usize, to: usize| (from..to).map(command).collect::<String>();
    write(dir.path(), "scan/simple_split/tasks_train_simple.txt", commands(0, 40));
    let simple = load("scan", dir.path(), Transduction::from_records).unwrap();
    assert_eq!((simple.train.len(), simple.validation.len(), simple.test.len()), (36, 4, 0));
    let [first, ..] = &simple.train[..] else { panic!("pairs") };
    assert!(first.source.starts_with("walk ") && first.target.starts_with("I_WALK I_"), "{first:?}");
    // Commands 30 to 49 are trained on; of 0 to 39, the others are for validation.
    write(dir.path(), "scan/length_split/tasks_train_length.txt", commands(30, 50));
    let splits = splits("scan-length", dir.path()).unwrap();
    let by_length = Transduction::from_records(&splits).unwrap();
    assert_eq!((by_length.train.len(), by_length.validation.len()), (20, 30));
    assert_eq!(splits.notes, ["10 rows are left out of the validation split, since an earlier split has the same"]);
}

#[test]
fn words_have_phonemes_without_stress_and_all_pronunciations_are_in_one_split() {
    let dir = tempfile::tempdir().unwrap();
    let word = |number: usize| format!("w{number} D AH{} B\nw{number}(2) D AA1 B\nw{number}(3) D AA0 B\n", number % 3);
    write(dir.path(), "cmudict/cmudict.dict", (0..60).map(word).collect::<String>());
    let data = load("cmudict", dir.path(), Transduction::from_records).unwrap();
    let all = [&data.train, &data.validation, &data.test];
    let words = |pairs: &[Pair]| pairs.iter().map(|pair| pair.source.clone()).collect::<BTreeSet<_>>();
    assert_eq!(all.map(|pairs| (pairs.len(), words(pairs).len())), [(108, 54), (6, 3), (6, 3)]);
    assert_eq!((&*data.train[0].target, &*data.train[1].target), ("D AH B", "D AA B"));
    let of_splits = all.map(|pairs| words(pairs));
    assert_eq!(of_splits.iter().flatten().collect::<BTreeSet<_>>().len(), 60, "no word is in two splits");
}

#[test]
fn no_sentence_is_in_two_splits_neither_as_source_nor_as_target() {
    let dir = tempfile::tempdir().unwrap();
    let pair = |number: usize| format!("Go {number}.\tVa {}.\n", number % 150);
    let lines: String = (0..200).map(pair).collect();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in [("_about.txt", "no pairs\n"), ("fra.txt", lines.as_str())] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut zip, text.as_bytes()).unwrap();
    }
    write(dir.path(), "tatoeba_en_fr/fra-eng.zip", zip.finish().unwrap().into_inner());
    let splits = splits("tatoeba-en-fr", dir.path()).unwrap();
    let data = Transduction::from_records(&splits).unwrap();
    assert_eq!(data.train[0].source, "Go 0.");
    let texts = |pair: &Pair| [pair.source.clone(), pair.target.clone()];
    let of_splits = [&data.train, &data.validation, &data.test]
        .map(|pairs| pairs.iter().flat_map(texts).collect::<BTreeSet<String>>());
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        assert!(of_splits[one].is_disjoint(&of_splits[other]) && !of_splits[other].is_empty(), "{one} {other}");
    }
    assert!(
        splits.notes.iter().any(|note| note.ends_with("since an earlier split has one of their texts")),
        "{:?}",
        splits.notes
    );
}

#[test]
fn chorales_have_four_voices_and_the_split_of_their_publisher() {
    let dir = tempfile::tempdir().unwrap();
    let piece = |first: u8| format!("[[{first},60,55,-1],[{},60,55,40]]", first + 1);
    let parts = [("train", 70..75), ("valid", 75..77), ("test", 77..78)];
    let part = |(name, notes): (&str, std::ops::Range<u8>)| {
        format!("\"{name}\":[{}]", notes.map(piece).collect::<Vec<_>>().join(","))
    };
    let text = format!("{{{}}}", parts.map(part).join(","));
    write(dir.path(), "jsb_chorales/Jsb16thSeparated.json", text);
    let data = Music::from_records(&splits("jsb-chorales", dir.path()).unwrap(), Some(4)).unwrap();
    assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (5, 2, 1));
    assert_eq!(data.train[0].frames[0], [Some(70), Some(60), Some(55), None]);
    assert_eq!(data.test[0].frames[1], [Some(78), Some(60), Some(55), Some(40)]);
}

#[test]
fn the_last_items_of_users_are_held_out() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "amazon_video_games/Video.txt", "1 7\n1 5\n2 7\n2 8\n1 8\n1 9\n");
    let data = load("amazon-video-games", dir.path(), Interactions::from_records).unwrap();
    assert_eq!((data.names.as_slice(), data.items), (&["7", "5", "8", "9"].map(str::to_owned)[..], 3));
    let users: Vec<(&[u32], usize, usize)> =
        data.users.iter().map(|user| (user.items.as_slice(), user.train_end, user.validation_end)).collect();
    assert_eq!(users, [(&[1, 2, 3, 4][..], 2, 3), (&[1, 3][..], 2, 2)]);
    write(dir.path(), "amazon_video_games/Video.txt", "1 7\n1\n");
    assert!(failure("amazon-video-games", dir.path()).contains("Video.txt, line 2: 1 field"));
}
