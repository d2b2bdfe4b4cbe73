//! Captions of images, as a user runs them.

use std::fs;

use serde_json::Value;

use crate::TestDir;

/// A PNG file of one color.
fn png(side: usize, color: [u8; 3]) -> Vec<u8> {
    seqzoo_datasets::image::Image::new(side, vec![color; side * side]).to_png()
}

/// Images of 6 × 6 pixels in two colors, and a table of their captions.
fn images(place: &TestDir) {
    fs::create_dir(place.path("images")).unwrap();
    let mut table = "image,caption\n".to_owned();
    for number in 0..40u8 {
        let (color, caption) =
            if number % 2 == 0 { ([250, number, 0], "a red wall") } else { ([0, number, 250], "the sky") };
        fs::write(place.path(&format!("images/{number}.png")), png(6, color)).unwrap();
        table += &format!("{number}.png,\"{caption}\"\n");
    }
    fs::write(place.path("images/captions.csv"), table).unwrap();
}

fn train(place: &TestDir, more: &[&str]) -> String {
    let small = ["--set", "network.hidden_sizes=[16]", "--set", "training.batch_size=4", "--out", "run"];
    place.ok(&[&["train", "scenes", "--set", "models=[\"bilstm\"]"], &small[..], more].concat()).out
}

#[test]
fn captions_of_own_images_are_learned_and_predicted() {
    let place = TestDir::new();
    images(&place);
    let trained = train(
        &place,
        &[
            "--data",
            "images/captions.csv",
            "--epochs",
            "20",
            "--set",
            "training.learning_rate=1e-2",
            "--set",
            "stopping.metric=\"loss\"",
        ],
    );
    assert!(trained.contains("seqzoo caption run IMAGE.png"), "{trained}");
    let evaluated = &place.json(&["evaluate", "run", "--json"])["models"]["bilstm"];
    assert_eq!(evaluated["accuracy"], 1.0, "{evaluated}");
    assert!(evaluated.get("shape-accuracy").is_none(), "these are not captions of scenes");
    let found = place.ok(&["caption", "run", "images/0.png", "images/1.png"]).out;
    assert_eq!(found, "images/0.png  a red wall\nimages/1.png  the sky\n");
    let found: Value = place.json(&["caption", "run", "images/1.png", "--beam", "2", "--json"]);
    assert_eq!((&found["image"], &found["caption"]), (&"images/1.png".into(), &"the sky".into()));
    let hypotheses = found["hypotheses"].as_array().unwrap();
    assert!(hypotheses.len() == 2 && hypotheses[0]["probability"].as_f64() > hypotheses[1]["probability"].as_f64());

    fs::write(place.path("large.png"), png(7, [0; 3])).unwrap();
    fs::write(place.path("text.png"), "no image").unwrap();
    let inspected = place.json(&["data", "inspect", "images/captions.csv", "--json"]);
    assert_eq!(inspected["recipe"], "scenes");
    // A bad file does not end the others.
    let mixed = place.run(&["caption", "run", "images/0.png", "text.png", "images/1.png"]);
    let lines: Vec<&str> = mixed.out.lines().collect();
    assert_eq!((lines[0], lines[2], mixed.code), ("images/0.png  a red wall", "images/1.png  the sky", Some(4)));
    assert!(lines[1].starts_with("error: ") && mixed.err.contains("text.png: not a valid PNG file"), "{}", mixed.err);
    let rows: String = (0..30).map(|number| format!("images/{number}.png,a\n")).collect();
    fs::write(place.path("mixed.csv"), format!("image,caption\n{rows}large.png,b\n")).unwrap();
    fs::write(place.path("silent.csv"), format!("image,caption\n{rows}images/30.png,\n")).unwrap();
    let silent = ["train", "scenes", "--data", "silent.csv", "--max-steps", "1", "--set", "stopping.metric=loss"];
    let silent = place
        .ok(&[&silent[..], &["--out", "silent", "--set", "network.hidden_sizes=[4]", "--set", "models=[\"bilstm\"]"]]
            .concat())
        .err;
    let note = "1 caption without a token is trained on as empty sequences; first: ";
    assert!(silent.contains(note) && silent.contains("silent.csv, line 32"), "{silent}");
    for (arguments, code, part) in [
        (&["caption", "run", "large.png"][..], 4, "large.png: this model reads images of 6 × 6 pixels"),
        (&["caption", "run", "text.png"], 4, "text.png: not a valid PNG file"),
        (&["caption", "run", "none.png"], 4, "cannot read none.png"),
        (
            &["train", "scenes", "--data", "mixed.csv"],
            4,
            "mixed.csv, line 32: large.png: 7 × 7 pixels, but the first image has 6 × 6",
        ),
        (&["predict", "run", "images/0.png"], 2, "`seqzoo caption` with a captioning model"),
    ] {
        let refused = place.run(arguments);
        assert!(
            refused.code == Some(code) && refused.err.contains(part),
            "{arguments:?}: {:?} {}",
            refused.code,
            refused.err
        );
    }
}

#[test]
fn images_of_scenes_are_written_and_described() {
    let place = TestDir::new();
    let shown = place.ok(&["data", "show", "scenes", "--png", "scenes", "-n", "3"]).out;
    assert_eq!(shown.lines().count(), 3);
    assert!(shown.lines().all(|line| line.starts_with("scenes/") && line.contains(".png  a ")), "{shown}");
    let table = fs::read_to_string(place.path("scenes/captions.csv")).unwrap();
    assert!(table.starts_with("image,caption\n1.png,\"a "), "{table}");
    let trained = train(&place, &["--max-steps", "2", "--set", "task.read=\"rows-and-columns\""]);
    assert!(trained.contains("seqzoo caption run scenes/1.png"), "{trained}");
    let described = place.ok(&["caption", "run", "scenes/1.png", "scenes/2.png", "scenes/3.png"]).out;
    assert_eq!(described.lines().count(), 3, "{described}");
    for (arguments, part) in [
        (&["data", "show", "scenes", "--png", "scenes"][..], "scenes exists; name a new folder"),
        (&["data", "show", "execute", "--png", "other"], "dataset execute has no images"),
    ] {
        let refused = place.run(arguments);
        assert!(refused.code == Some(2) && refused.err.contains(part), "{arguments:?}: {}", refused.err);
    }
}
