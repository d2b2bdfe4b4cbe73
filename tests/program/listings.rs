use crate::Place;
use std::io::Read;
use std::process::Stdio;

#[test]
fn lists_and_descriptions_read_well() {
    let place = Place::new();
    for arguments in [&["list", "models"][..], &["list", "recipes"], &["describe", "lstm"], &["describe", "agreement"]]
    {
        insta::assert_snapshot!(arguments.join("_"), place.ok(arguments).out);
    }
}

#[test]
fn every_listed_name_can_be_described_or_loaded() {
    let place = Place::new();
    let list = place.json(&["list", "--json"]);
    for kind in ["recipes", "models"] {
        for item in list[kind].as_array().unwrap() {
            place.ok(&["describe", item["name"].as_str().unwrap()]);
        }
    }
    assert_eq!(list["datasets"].as_array().unwrap().len(), 2);
    assert!(list["backends"].to_string().contains("(linked in)"));
}

#[test]
fn help_of_each_command_has_examples() {
    let place = Place::new();
    for command in ["list", "describe", "train", "evaluate", "predict"] {
        let help = place.ok(&[command, "--help"]).out;
        assert!(help.contains("Examples:") && help.matches("`seqzoo ").count() >= 2, "{help}");
    }
}

#[test]
fn a_closed_pipe_ends_a_listing_quietly() {
    let place = Place::new();
    let mut child = place.command(&["list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!((child.wait().unwrap().code(), told.as_str()), (Some(0), ""));
}
