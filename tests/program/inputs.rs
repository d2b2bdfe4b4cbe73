use crate::{Finished, LANGUAGES, TestDir};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::Value;

const SMALL: [&str; 4] = ["--set", "network.hidden_sizes=[8]", "--max-steps", "3"];

/// CoNLL-U sentences of a noun and a verb.
fn conllu(sentences: usize) -> String {
    let sentence = |number: usize| {
        let (noun, verb) = (["Dogs", "Cats", "Zoë"][number % 3], ["bark", "sleep"][number % 2]);
        let row = |id: usize, form: &str, tag: &str| format!("{id}\t{form}\t_\t{tag}\t_\t_\t_\t_\t_\t_\n");
        row(1, noun, "NOUN") + &row(2, verb, "VERB") + "\n"
    };
    (0..sentences).map(sentence).collect()
}

/// A working directory with a trained tagger in `tagger`.
fn tagger() -> TestDir {
    let place = TestDir::new();
    fs::create_dir_all(place.path("data/ud_english_ewt")).unwrap();
    for split in ["train", "dev"] {
        fs::write(place.path(&format!("data/ud_english_ewt/en_ewt-ud-{split}.conllu")), conllu(30)).unwrap();
    }
    let arguments = ["train", "pos", "--set", "models=[\"bilstm\"]", "--out", "tagger"];
    place.ok(&[&arguments[..], &SMALL].concat());
    place
}

fn lines(ran: &Finished) -> Vec<&str> {
    ran.out.lines().collect()
}

#[test]
fn blank_and_unreadable_lines_keep_their_position_among_the_predictions() {
    let place = TestDir::new();
    place.trained("1");
    let input = b"the keys\n\n \t\r\n ;; - \rmy \xff dog\nmy dog";
    let alone = ["the keys", "my dog"].map(|text| place.ok(&["predict", "run", text]).out.trim_end().to_owned());
    let table = place.with_input(&["predict", "run", "-"], input);
    let error = "standard input, line 5: not UTF-8; convert the file first";
    assert_eq!(lines(&table), [&alone[0], "", "", "-   ;; - ", &format!("error: {error}"), &alone[1]]);
    assert_eq!((table.code, table.err.trim_end()), (Some(4), &*format!("error: {error}")));

    fs::write(place.path("texts.txt"), input).unwrap();
    let objects = place.run(&["predict", "run", "--file", "texts.txt", "--json"]);
    let objects: Vec<Value> = objects.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects[2], serde_json::json!({"text": " \t", "label": null, "probability": null, "probabilities": {}}));
    assert!(objects[4]["error"].as_str().unwrap().starts_with("texts.txt, line 5: "), "{}", objects[4]);
    assert_eq!((objects.len(), &objects[5]["text"]), (6, &"my dog".into()));
    // Blank lines are not an error.
    let blank = place.with_input(&["predict", "run", "-"], b"\nthe keys\n\n");
    assert_eq!((blank.code, lines(&blank)), (Some(0), vec!["", &*alone[0], ""]));
}

#[test]
fn predictions_do_not_depend_on_encoding_line_endings_or_compression() {
    let place = TestDir::new();
    place.trained("1");
    let plain = place.with_input(&["predict", "run", "-"], b"the keys\n\nmy dog\n");
    let utf_16: Vec<u8> = "\u{feff}the keys\r\rmy dog".encode_utf16().flat_map(u16::to_be_bytes).collect();
    for bytes in [b"the keys\r\n\r\nmy dog".as_slice(), b"\xef\xbb\xbfthe keys\r\rmy dog\r", &utf_16] {
        assert_eq!(place.with_input(&["predict", "run", "--file", "-"], bytes).out, plain.out);
    }
    // The first of these inputs, compressed with gzip -n.
    let gzip = include_bytes!("fixtures/texts.gz");
    fs::write(place.path("texts"), gzip).unwrap();
    assert_eq!(place.ok(&["predict", "run", "--file", "texts"]).out, plain.out);
    fs::write(place.path("cut"), &gzip[..gzip.len() - 6]).unwrap();
    let cut = place.run(&["predict", "run", "--file", "cut"]);
    assert!(cut.code == Some(4) && cut.err.contains("cut is damaged or incomplete"), "{}", cut.err);
}

#[test]
fn each_line_is_predicted_before_the_next_one_is_written() {
    let place = tagger();
    place.trained("1");
    for (run, first, second) in [("run", "the keys\n", "my dog\n"), ("tagger", &*conllu(1), &*conllu(1))] {
        let mut command = place.command(&["predict", run, "-"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut predictions = BufReader::new(child.stdout.take().unwrap()).lines();
        for text in [first, second] {
            input.write_all(text.as_bytes()).unwrap();
            assert!(!predictions.next().unwrap().unwrap().is_empty());
        }
        drop(input);
        assert!(predictions.next().is_none() && child.wait().unwrap().success());
    }
}

#[test]
fn conllu_is_detected_by_columns_or_suffix_and_a_bad_sentence_affects_no_other() {
    let place = tagger();
    let plain = conllu(2).replace("NOUN", "_").replace("VERB", "_");
    let text = format!("# newdoc\n{}", plain.replace("\n\n", "\n\t\n"));
    for name in ["words.txt", "WORDS.CONLLU"] {
        fs::write(place.path(name), text.replace('\n', "\r")).unwrap();
        let written = place.ok(&["predict", "tagger", "--file", name, "--format", "conll"]).out;
        assert_eq!(written.matches("\n\n").count(), 2, "{written}");
        assert!(
            written.starts_with("# newdoc\n1\tDogs\t_\t") && !written.contains("_\t_\t_\t_\t_\t_\t_\t_"),
            "{written}"
        );
        assert_eq!(place.with_input(&["predict", "tagger", "-", "--format", "conll"], text.as_bytes()).out, written);
    }
    let forced = place.ok(&["predict", "tagger", "--file", "words.txt", "--input-format", "text"]).out;
    assert_eq!(forced.lines().count(), 7, "every line is a text");

    fs::write(place.path("bad.conllu"), format!("{}1\tDogs\tNOUN\n\n{}", conllu(1), conllu(1))).unwrap();
    for (format, blocks) in [("table", 3), ("json", 3)] {
        let ran = place.run(&["predict", "tagger", "--file", "bad.conllu", "--format", format]);
        assert_eq!((ran.code, lines(&ran).len()), (Some(4), blocks));
        assert!(lines(&ran)[1].contains("bad.conllu, line 4: expected 10 tab-separated columns, found 3"));
    }
    let ran = place.run(&["predict", "tagger", "--file", "bad.conllu", "--format", "conll"]);
    assert!(
        ran.out.contains("\n\n# error = bad.conllu, line 4: ") && ran.out.matches("\n\n").count() == 3,
        "{}",
        ran.out
    );
    for (arguments, code, part) in [
        (
            &["predict", "tagger", "--file", "notes.txt", "--input-format", "conllu"][..],
            4,
            "expected 10 tab-separated columns, found 1",
        ),
        (&["predict", "tagger", "--file", "none.conllu"], 4, "none.conllu: empty"),
        (&["predict", "other", "x", "--input-format", "conllu"], 2, "does not label tokens"),
    ] {
        fs::write(place.path("notes.txt"), "Dogs bark.\n").unwrap();
        fs::write(place.path("none.conllu"), "\n\n").unwrap();
        if arguments[1] == "other" {
            place.ok(&["train", "agreement", "--max-steps", "1", "--set", "models=[\"rnn\"]", "--out", "other"]);
        }
        let ran = place.run(arguments);
        assert!(ran.code == Some(code) && ran.err.contains(part), "{arguments:?}: {:?} {}", ran.code, ran.err);
    }
}

#[test]
fn every_input_of_a_tagger_is_written_as_conllu() {
    let place = tagger();
    let columns = "Dogs X\nbark X\n\nCats X\n";
    fs::write(place.path("words.conll"), columns).unwrap();
    fs::write(place.path("words.jsonl"), "{\"tokens\": [\"Dogs\", \"bark\"]}\n{\"tokens\": []}\n").unwrap();
    let conll = ["predict", "tagger", "--format", "conll"];
    let written = place.ok(&[&conll[..], &["--file", "words.conll"]].concat()).out;
    let rows: Vec<&str> = written.lines().collect();
    assert!(rows.len() == 5 && rows[0].starts_with("1\tDogs\t_\t") && rows[2].is_empty(), "{written}");
    assert_eq!(rows[1].split('\t').count(), 10, "{written}");
    assert!(rows[3].starts_with("1\tCats\t_\t"), "{written}");
    let piped = place.with_input(&[&conll[..], &["--input-format", "conll", "-"]].concat(), columns.as_bytes());
    assert_eq!(piped.out, written);
    let of_json = place.ok(&[&conll[..], &["--file", "words.jsonl"]].concat()).out;
    assert_eq!(of_json, [rows[0], "\n", rows[1], "\n\n\n"].concat());
    let tagged = place.ok(&["predict", "tagger", "--file", "words.conll"]).out;
    assert!(tagged.starts_with("Dogs/") && tagged.lines().count() == 2, "{tagged}");
}

#[test]
fn a_tagger_normalizes_unicode_and_ignores_byte_order_marks() {
    let place = tagger();
    let tags = |text: &str| {
        let answer = place.json(&["predict", "tagger", text, "--json"]);
        (answer["tokens"].as_array().unwrap().len(), answer["labels"].clone())
    };
    for text in ["\u{feff}Zoë sleep", "Zoe\u{308} sleep", "Zoë\\tsleep\\n"] {
        assert_eq!(tags(text), tags("Zoë sleep"), "{text:?}");
    }
    let decomposed = place.ok(&["predict", "tagger", "Zoe\u{308} sleep", "--format", "conll"]).out;
    assert!(decomposed.contains("1\tZoe\u{308}\t"), "the output keeps the input form: {decomposed}");
    // Two concatenated files, each with a byte order mark.
    let marked =
        place.with_input(&["predict", "tagger", "-"], "\u{feff}Dogs bark\n\u{feff}Dogs bark\n\u{feff}\n".as_bytes());
    assert_eq!(lines(&marked)[0], lines(&marked)[1]);
    assert_eq!(lines(&marked)[2], "");
}

#[test]
fn prediction_cleans_texts_like_training() {
    let place = TestDir::new();
    fs::create_dir_all(place.path("data/names/names")).unwrap();
    for (number, language) in LANGUAGES.iter().enumerate() {
        let first = char::from(b'A' + number as u8);
        let names: String = "abcdefghijkl".chars().map(|c| format!("{first}{c}é\n")).collect();
        fs::write(place.path(&format!("data/names/names/{language}.txt")), names).unwrap();
    }
    for label in ["pos", "neg"] {
        fs::create_dir_all(place.path(&format!("data/imdb/train/{label}"))).unwrap();
        for id in 0..9 {
            let review = format!("A film.<br /><br />A {label} br film.");
            fs::write(place.path(&format!("data/imdb/train/{label}/{id}_1.txt")), review).unwrap();
        }
    }
    for (recipe, model, texts) in [
        ("names", "bilstm", &["Abé", "Abé ", " \u{a0}Abe\u{301}\t", "\u{feff}Abé", "Abé\\n"][..]),
        ("imdb", "lstm", &["A film.  A br film.", "A film.<br /><br />A br film."]),
    ] {
        let models = format!("models=[\"{model}\"]");
        let arguments = ["train", recipe, "--data-dir", "data", "--set", &models, "--out", recipe];
        place.ok(&[&arguments[..], &SMALL].concat());
        let predictions =
            texts.iter().map(|text| place.json(&["predict", recipe, text, "--json"])["probabilities"].clone());
        let predictions: Vec<Value> = predictions.collect();
        assert!(predictions.iter().all(|one| *one == predictions[0]), "{recipe}: {predictions:?}");
        let blank = place.run(&["predict", recipe, " \t"]);
        assert!(blank.code == Some(4) && blank.err.contains("the text is empty"), "{}", blank.err);
    }
}

#[test]
fn a_lone_cr_ends_a_line_in_tables_and_texts() {
    let place = TestDir::new();
    let rows: Vec<String> = (2..=40)
        .map(|row| format!("{row},{}", if row == 8 { "oops".to_owned() } else { (row * row % 17).to_string() }))
        .collect();
    fs::write(place.path("bad.csv"), format!("t,y\r{}\r", rows.join("\r"))).unwrap();
    let refused = place.run(&["train", "forecast", "--csv", "bad.csv", "--target", "y", "--out", "r"]);
    assert!(refused.code == Some(4) && refused.err.contains("bad.csv, line 8: `oops`"), "{}", refused.err);

    let words = ["train", "ptb", "--set", "models=[\"lstm\"]", "--set", "training.batch_size=4"];
    let counted = |name: &str, text: &str| {
        fs::write(place.path(name), text).unwrap();
        place.ok(&[&words[..], &["--text", name, "--out", &format!("{name}-run")], &SMALL].concat());
        place.json(&["evaluate", &format!("{name}-run"), "--text", name, "--json", "--split", "validation"])["examples"]
            .clone()
    };
    let text = "so it goes and so it went\n".repeat(100);
    let plain = counted("lf", &text);
    assert_eq!(counted("cr", &text.replace('\n', "\r")), plain);
    assert_eq!(counted("crlf", &text.replace('\n', "\r\n")), plain);
    // A corpus and a table can be read from standard input.
    let refused = place.with_input(&["train", "sentences", "--text", "-"], b"so it goes");
    assert!(refused.err.contains("standard input: 10 characters are too few"), "{}", refused.err);
    let refused = place.with_input(&["train", "forecast", "--csv", "-", "--target", "y"], b"t,y\r1,2\r3\r");
    assert!(refused.err.contains("standard input, line 3: 1 field, "), "{}", refused.err);
    let arguments = [&words[..], &["--text", "-", "--out", "piped"], &SMALL].concat();
    let piped = place.with_input(&arguments, text.as_bytes());
    assert_eq!(piped.code, Some(0), "{}", piped.err);
    let metrics = |run: &str| fs::read(place.path(&format!("{run}/lstm/metrics.jsonl"))).unwrap();
    assert_eq!(metrics("piped"), metrics("lf-run"));
}

#[test]
fn escapes_are_replaced_in_prompts_and_one_space_follows_a_prompt() {
    let place = TestDir::new();
    fs::write(place.path("text.txt"), "the dog saw the cat\nand\tso \\ the cat é\n".repeat(60)).unwrap();
    let train = |level: &str, out: &str| {
        let level = format!("task.level={level}");
        let data = ["--text", "text.txt", "--set", "training.batch_size=4", "--set", "task.tied=false"];
        place.ok(&[&["train", "sentences", "--set", &level, "--out", out][..], &data, &SMALL].concat());
    };
    train("characters", "characters");
    train("words", "words");
    train("tokens", "tokens");
    let generate =
        |run: &str, prompt: &str, tokens: &str| place.ok(&["generate", run, "--prompt", prompt, "-n", tokens]).out;
    assert_eq!(generate("characters", "cat\\nand\\tso \\\\ the", "0"), "cat\nand\tso \\ the\n");
    // Unicode normalization: a composed and a decomposed prompt generate the same text.
    let (composed, decomposed) = (generate("characters", "cat é", "9"), generate("characters", "cat e\u{301}", "9"));
    assert_eq!(composed.strip_prefix("cat é"), decomposed.strip_prefix("cat e\u{301}"));
    for (run, prompt, begin) in [
        ("words", "the dog", "the dog "),
        ("words", "the dog ", "the dog "),
        ("words", "the dog  ", "the dog  "),
        ("words", "the dog\\n", "the dog\n"),
        ("words", "the dog\\t", "the dog\t"),
        ("tokens", "the dog ", "the dog "),
        ("tokens", "the dog\\n", "the dog\n"),
    ] {
        let text = generate(run, prompt, "3");
        let rest = text.strip_prefix(begin).unwrap_or_else(|| panic!("{prompt:?}: {text:?}"));
        assert!(run == "tokens" || rest.starts_with(char::is_alphanumeric), "{prompt:?}: {text:?}");
        assert!(!rest.starts_with(' '), "{prompt:?}: {text:?}");
    }
    let unseen = place.ok(&["generate", "words", "--prompt", "the\\nhorse", "-n", "2"]);
    assert!(unseen.out.starts_with("the\nhorse "), "{}", unseen.out);
    assert!(unseen.err.contains("replaced by the unknown token: \"horse\""), "{}", unseen.err);
    let empty = place.run(&["generate", "words", "--prompt", "\\n"]);
    assert!(empty.code == Some(2) && empty.err.contains("the text is empty"), "{}", empty.err);
}

/// Trains for one update.
fn trained(place: &TestDir, more: &[&str]) {
    place.ok(&[&["train", "agreement", "--max-steps", "1", "--set", "models=[\"rnn\"]"][..], more].concat());
}

#[test]
fn last_is_the_newest_run_in_any_folder() {
    let place = TestDir::new();
    let seed_of_last = |place: &TestDir| place.json(&["evaluate", "last", "--json"])["seed"].clone();
    trained(&place, &["--seed", "1"]);
    trained(&place, &["--seed", "2", "--out", "mine/deep"]);
    assert_eq!(seed_of_last(&place), 2);
    trained(&place, &["--seed", "3"]);
    assert_eq!(seed_of_last(&place), 3);
    let other = TestDir::new();
    trained(&place, &["--seed", "4", "--out", other.path("away").to_str().unwrap()]);
    assert_eq!(seed_of_last(&place), 4);
    place.ok(&["train", "--resume", "last", "--max-steps", "2"]);
    assert!(other.path("away/rnn/checkpoints/step-00000002").is_dir());
    // Deleted runs and invalid lines are skipped.
    fs::remove_dir_all(other.path("away")).unwrap();
    let journal = place.path("runs/elsewhere.jsonl");
    let noted = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, format!("\u{0}\n{noted}{{\"path\": 3}}\n{{\"pa")).unwrap();
    assert_eq!(seed_of_last(&place), 3);
    // A damaged run counts as the latest and is an error.
    fs::write(place.path("mine/deep/env.json"), "{").unwrap();
    let refused = place.run(&["evaluate", "last"]);
    assert!(refused.code == Some(8) && refused.err.contains("mine/deep/env.json is damaged"), "{}", refused.err);
    // A run is created even if it cannot be noted.
    let plain = TestDir::new();
    fs::write(plain.path("runs"), "a file").unwrap();
    trained(&plain, &["--out", "mine"]);
    plain.ok(&["evaluate", "mine"]);
}

#[test]
fn a_run_opens_by_path_without_its_metadata_files() {
    let place = TestDir::new();
    trained(&place, &["--out", "mine"]);
    let before = place.ok(&["evaluate", "mine"]).out;
    for file in ["env.json", "recipe.toml", "lock"] {
        fs::remove_file(place.path(&format!("mine/{file}"))).unwrap();
        assert_eq!(place.ok(&["evaluate", "mine"]).out, before, "without {file}");
        place.ok(&["predict", "mine", "the keys"]);
    }
    place.ok(&["predict", "last", "the keys"]);
    place.ok(&["train", "--resume", "mine", "--max-steps", "2"]);
    assert!(place.path("mine/env.json").is_file() && place.path("mine/recipe.toml").is_file());

    fs::remove_file(place.path("mine/env.json")).unwrap();
    for step in [0, 1, 2] {
        let manifest = place.path(&format!("mine/rnn/checkpoints/step-{step:08}/manifest"));
        let _ = fs::write(manifest, "");
    }
    fs::create_dir_all(place.path("begun")).unwrap();
    fs::write(place.path("begun/recipe.toml"), "").unwrap();
    fs::create_dir_all(place.path("photos")).unwrap();
    for (path, part) in [
        ("mine", "mine has no env.json, and no checkpoint to recover it from: "),
        ("begun", "begun has no env.json and no checkpoint: it ended before training began"),
        ("photos", "photos is not a run: it has neither env.json nor a folder MODEL/checkpoints"),
    ] {
        for command in ["predict", "generate"] {
            let text = if command == "predict" { &["the keys"][..] } else { &["--prompt", "the keys"] };
            let refused = place.run(&[&[command, path][..], text].concat());
            assert!(refused.code == Some(8) && refused.err.contains(part), "{}", refused.err);
        }
    }
}

#[test]
fn an_interrupted_creation_of_a_run_is_ignored() {
    let place = TestDir::new();
    // A kill leaves an incomplete hidden folder; with older versions, a visible one.
    for left in ["runs/.agreement-1.77.new", "runs/agreement-1"] {
        fs::create_dir_all(place.path(left)).unwrap();
        fs::write(place.path(left).join("recipe.toml"), "summary = ").unwrap();
    }
    fs::write(place.path("runs/.agreement-1.77.new/env.json"), "{").unwrap();
    let none = place.run(&["predict", "last", "the keys"]);
    assert!(none.code == Some(2) && none.err.contains("no run `last`"), "{}", none.err);
    trained(&place, &[]);
    assert!(place.path("runs/agreement-2/env.json").is_file());
    place.ok(&["predict", "last", "the keys"]);
    let hidden = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with('.');
    assert_eq!(fs::read_dir(place.path("runs")).unwrap().flatten().filter(hidden).count(), 1, "no new hidden folder");
}

#[test]
fn the_suffix_of_a_recipe_file_is_case_insensitive() {
    let place = TestDir::new();
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/train/recipes/agreement.toml");
    fs::copy(recipe, place.path("MINE.TOML")).unwrap();
    assert!(place.ok(&["describe", "MINE.TOML"]).out.contains("agreement"));
}

#[test]
fn recipe_files_may_have_any_encoding_and_line_ending() {
    let place = TestDir::new();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/train/recipes/names.toml");
    let plain = fs::read_to_string(shipped).unwrap();
    let utf_16 = |text: &str| [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let variants: [Vec<u8>; 4] = [
        plain.clone().into(),
        format!("\u{feff}{}", plain.replace('\n', "\r\n")).into(),
        plain.replace('\n', "\r").into(),
        utf_16(&plain),
    ];
    let described = |text: &[u8]| {
        fs::write(place.path("own.toml"), text).unwrap();
        place.ok(&["describe", "own.toml"]).out
    };
    let [first, others @ ..] = variants.map(|text| described(&text));
    assert!(first.contains("names"), "{first}");
    others.iter().for_each(|other| assert_eq!(other, &first));

    fs::write(place.path("own.toml"), b"summary = \"caf\xe9\"\n").unwrap();
    let refused = place.run(&["describe", "own.toml"]);
    assert_eq!(refused.code, Some(3));
    assert!(refused.err.contains("recipe: own.toml, line 1: not UTF-8"), "{}", refused.err);
}

#[test]
fn bad_rows_of_tables_print_an_error_in_their_place() {
    let place = TestDir::new();
    let row = |row: usize| format!("word {}{row},{}\n", ["fine", "dull"][row % 2], ["good", "bad"][row % 2]);
    fs::write(place.path("texts.csv"), "text,label\n".to_owned() + &(0..40).map(row).collect::<String>()).unwrap();
    place.ok(&[
        "train",
        "classify",
        "--data",
        "texts.csv",
        "--epochs",
        "1",
        "--set",
        "network.hidden_sizes=[4]",
        "--out",
        "run",
    ]);
    let predicted = |name: &str, text: &[u8]| {
        fs::write(place.path(name), text).unwrap();
        let ran = place.run(&["predict", "run", "--file", name]);
        let shown = ran.out.lines().map(|line| match line.strip_prefix("error: ") {
            Some(error) => error.split(": ").next().unwrap().to_owned(),
            None => line.split_once("  word ").map_or(line, |(_, text)| text).to_owned(),
        });
        (shown.collect::<Vec<_>>(), ran.code)
    };
    for (name, text, lines, code) in [
        (
            "new.csv",
            &b"text,label\nword a,x\nword b,x,y\n\nword c,\n"[..],
            &["a", "new.csv, line 3", "new.csv, line 4", "c"][..],
            4,
        ),
        // A line that is not text, a quotation mark that none closes, and one that only the mark of a later row closes.
        (
            "bytes.csv",
            b"text,label\nword \xff,x\nword a,x\n\"word b,x\nword c,x\n\"word d\",x\nword e,x\n\"word f,x\nword g,x\n",
            &["bytes.csv, line 2", "a", "bytes.csv, line 4", "c", "d", "e", "bytes.csv, line 8", "g"],
            4,
        ),
        (
            "new.jsonl",
            b"{\"text\": \"word a\"}\n{\"title\": \"b\"}\n{\"text\": null}\n{text}\n{\"text\": \"word c\"}\n",
            &["a", "new.jsonl, line 2", "new.jsonl, line 3", "new.jsonl, line 4", "c"],
            4,
        ),
        (
            "new.arff",
            b"@relation r\n@attribute text string\n@attribute label {x}\n@data\n'word a',x\n'word b',y\n'word c',x\n",
            &["a", "new.arff, line 6", "c"],
            4,
        ),
        // Labels are skipped where a file begins with one.
        ("new.txt", b"__label__x word a\nword b\n", &["a", "b"], 0),
        ("plain.txt", b"word a\nword __label__x b\n", &["a", "__label__x b"], 0),
    ] {
        let (found, found_code) = predicted(name, text);
        assert_eq!(
            (&found[..], found_code),
            (&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>()[..], Some(code))
        );
    }
    let single = place.ok(&["predict", "run", "word never"]);
    assert!(single.err.contains("1 of 2 tokens (50.0 %) is not in the model's vocabulary"), "{}", single.err);
}
