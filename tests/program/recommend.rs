//! Recommendation, as a user runs it.

use std::fs;

use serde_json::Value;

use crate::TestDir;

/// Users who go through twenty items in a circle, from different starts; the rows of all users alternate and are not in order of time.
fn table() -> String {
    let row = |user: usize, step: usize| format!("user {user},item {},2024-01-{:02}\n", (user + step) % 20, step + 1);
    let rows = (0..8).rev().flat_map(|step| (0..40).map(move |user| row(user, step)));
    "who,what,when\n".to_owned() + &rows.collect::<String>()
}

const COLUMNS: [&str; 6] = ["--user", "who", "--item", "what", "--time", "when"];

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn trained() -> TestDir {
    let place = TestDir::new();
    fs::write(place.path("interactions.csv"), table()).unwrap();
    let sets =
        ["network.hidden_sizes=[16]", "training.learning_rate=0.02", "training.batch_size=8", "stopping.patience=20"];
    let sets: Vec<&str> = sets.into_iter().flat_map(|set| ["--set", set]).collect();
    let data = ["train", "recommend", "--data", "interactions.csv", "--epochs", "20", "--out", "run"];
    let trained = place.ok(&[&data[..], &COLUMNS, &sets].concat());
    for part in [
        "splits: train 40 users, validation 40 users, test 40 users",
        "280 rows are earlier than the user's previous one",
    ] {
        assert!(trained.err.contains(part), "no {part} in {}", trained.err);
    }
    for part in ["ndcg-10", "sampled-hit-rate-10", "most popular item", "item neighbors", "95 % interval of ndcg-10"] {
        assert!(trained.out.contains(part), "no {part} in {}", trained.out);
    }
    place
}

#[test]
fn the_next_items_of_own_users_are_recommended() {
    let place = trained();
    let report = place.json(&["evaluate", "run", "--json"]);
    let found = &report["models"]["gru"];
    assert!(found["hit-rate-10"].as_f64().unwrap() > 0.9 && found["examples"] == 40, "{report}");
    let recommended = place.json(&["recommend", "run", "--history", "item 3, item 4,item 5", "-n", "3", "--json"]);
    assert_eq!(recommended["history"], serde_json::json!(["item 3", "item 4", "item 5"]));
    assert_eq!(recommended["items"].as_array().unwrap().len(), 3);
    assert!(recommended["items"].as_array().unwrap().contains(&"item 6".into()), "{recommended}");
    let all = place.json(&["recommend", "run", "--history", "item 3,item 4", "-n", "99", "--json", "--keep-history"]);
    let total: f64 = all["scores"].as_array().unwrap().iter().filter_map(Value::as_f64).sum();
    assert!(all["items"].as_array().unwrap().len() == 20 && (total - 1.0).abs() < 1e-3, "{all}");

    // Histories in a file; an unknown item is skipped, a blank line has an empty line.
    fs::write(place.path("histories.txt"), "item 3,item 4\n\nitem 3,nothing\nnothing\n").unwrap();
    let of_file = place.ok(&["recommend", "run", "--data", "histories.txt", "--json"]);
    let rows = objects(&of_file.out);
    let counts: Vec<usize> = rows.iter().map(|row| row["items"].as_array().unwrap().len()).collect();
    assert_eq!(counts, [10, 0, 10, 0]);
    assert!(
        of_file.err.contains("note: 2 of 5 items of the histories were not in the training data"),
        "{}",
        of_file.err
    );
    let lines = place.ok(&["recommend", "run", "--data", "histories.txt", "-n", "1"]).out;
    assert_eq!(lines.lines().map(str::is_empty).collect::<Vec<_>>(), [false, true, false, true], "{lines}");
    // Quoted names, and a line that is not UTF-8, which does not end the others.
    fs::write(place.path("mixed.txt"), b"\"item 3\",item 4\n\xff\nitem 3,item 4\n").unwrap();
    let mixed = place.run(&["recommend", "run", "--data", "mixed.txt", "-n", "1"]);
    let lines: Vec<&str> = mixed.out.lines().collect();
    assert!(mixed.code == Some(4) && mixed.err.contains("mixed.txt, line 2: not UTF-8"), "{}", mixed.err);
    assert!(lines.len() == 3 && lines[0] == lines[2] && lines[1].starts_with("error: "), "{}", mixed.out);
    let predicted = place.ok(&["predict", "run", "item 3,item 4"]).out;
    assert!(predicted.contains("item 5"), "{predicted}");
}

#[test]
fn invalid_interactions_and_histories_are_refused() {
    let place = trained();
    for (arguments, code, part) in [
        (&["recommend", "run"][..], 2, "--history"),
        (&["recommend", "run", "--history", " , "], 2, "--history is empty"),
        (&["recommend", "run", "--history", "item 1", "-n", "0"], 2, "0 is not in 1.."),
        (&["recommend", "run", "--history", "item 1", "--data", "interactions.csv"], 2, "cannot be used with"),
        (&["recommend", "run", "--data", "no.txt"], 4, "no.txt"),
        (&["detect", "run"], 2, "does not detect anomalies"),
        (&["train", "recommend", "--data", "interactions.csv"], 4, "no column `user`"),
    ] {
        let refused = place.run(arguments);
        assert!(refused.code == Some(code) && refused.err.contains(part), "{part}: {:?} {}", refused.code, refused.err);
    }
    let train = ["train", "recommend", "--data", "bad.csv"];
    for (text, part) in [
        (table().replacen("user 3,", ",", 1), "line 5: missing value in column `who`"),
        (table().replacen("item", "", 1).replacen("user 0, 7", "user 0,", 1), "line 2: missing value in column `what`"),
        (
            table().replacen("2024-01-08", "soon", 1),
            "line 2: `soon` in column `when` is neither a number nor a timestamp",
        ),
        ("who,what,when\na,x,1\na,y,2\nb,x,1\n".to_owned(), "none of the users of 3 rows has three rows"),
        ("who,what,when\na,x,1\na,y,2\na,z,3\n".to_owned(), "the training split has no user with two items"),
    ] {
        fs::write(place.path("bad.csv"), text).unwrap();
        let refused = place.run(&[&train[..], &COLUMNS].concat());
        assert!(refused.code == Some(4) && refused.err.contains(part), "{part}: {:?} {}", refused.code, refused.err);
    }
    let folds =
        place.run(&[&["train", "recommend", "--data", "interactions.csv", "--folds", "3"][..], &COLUMNS].concat());
    assert!(folds.code == Some(2) && folds.err.contains("there is no cross-validation"), "{}", folds.err);
}
