//! News items and their headlines, generated: summarize "Fire destroyed 12 barns in Bavolu on Monday. …" as "fire destroys 12 barns in Bavolu".
//!
//! ```text
//! item     := lead remark{1,3}        one of twelve events; the headline compresses the lead, in the present tense
//! slots    := names, places, companies, numbers, days, and words such as roles
//! ```
//!
//! Last names, towns and companies are words of three syllables, each a consonant and a vowel: 512,000 words, of which each item draws at random,
//! so that most names occur once or twice. Eight tenths of them belong to the training split, one tenth each to the validation and the test
//! split: no name of a split occurs in another one. A model with a vocabulary has to copy them. Remarks contain other names and numbers than
//! the lead. An item is a function of its split and index.
//!
//! The task is that of Rush, Chopra and Weston, "A neural attention model for abstractive sentence summarization", EMNLP 2015; unlike news, the
//! items have few forms, so results on them say nothing about news.

use std::collections::BTreeMap;
use std::sync::Arc;

use seqzoo_random::{Key, Purpose, Rng, RngExt, SliceRandom};

use super::{Generate, Generator};
use crate::records::{Column, Records};

/// The generator.
pub(super) static GENERATOR: Generator = Generator {
    name: "headlines",
    summary: "11,500 generated news items and their headlines, with names that occur in one split only. Built in",
    example: "Fire destroyed 12 barns in Bavolu on Monday, officer Anna Rikona said. Officials in Tuvale did not comment.",
    roles: &[("source", "text"), ("target", "headline")],
    groups: &["event"],
    labels: &[],
    baselines: &[],
    options: &[],
    generate: Generate::Fixed(generate),
};

/// Items of each split: training, validation, test.
const SIZES: [usize; 3] = [10_000, 500, 1_000];

/// Random seed of the items; the seed of a run does not affect them.
const SEED: u64 = 2015;

/// Remainders of the sum of a name's syllables, divided by [`CLASSES`], that belong to each split.
const REMAINDERS: [std::ops::Range<usize>; 3] = [0..8, 8..9, 9..10];
const CLASSES: usize = 10;

const CONSONANTS: [char; 16] = ['b', 'd', 'f', 'g', 'h', 'j', 'k', 'l', 'm', 'n', 'p', 'r', 's', 't', 'v', 'z'];
const VOWELS: [char; 5] = ['a', 'e', 'i', 'o', 'u'];
const SYLLABLES: usize = CONSONANTS.len() * VOWELS.len();

/// A kind of news: its name, first sentences and headlines, any of which go together.
struct Event {
    name: &'static str,
    leads: [&'static str; 2],
    headlines: [&'static str; 2],
}

static EVENTS: [Event; 12] = [
    Event {
        name: "fire",
        leads: [
            "Fire destroyed {count} {buildings} in {town} on {day} {part}, {role} {first} {last} said.",
            "On {day} {part}, {count} {buildings} in {town} burned down, according to {role} {first} {last}.",
        ],
        headlines: ["fire destroys {count} {buildings} in {town}", "{count} {buildings} burn down in {town}"],
    },
    Event {
        name: "storm",
        leads: [
            "A storm cut power to {count} homes around {town} on {day} {part}, the operator {company} said.",
            "About {count} homes around {town} lost power in a storm on {day}, {company} said.",
        ],
        headlines: ["storm cuts power to {count} homes around {town}", "{count} homes without power around {town}"],
    },
    Event {
        name: "appointment",
        leads: [
            "{company} named {first} {last}, a former {role}, as its chief executive on {day}.",
            "The board of {company} chose {first} {last} to lead the company from {day} on.",
        ],
        headlines: ["{last} to lead {company}", "{company} names {last} chief executive"],
    },
    Event {
        name: "takeover",
        leads: [
            "{company} agreed on {day} to buy its rival {rival} for {count} million {currency}.",
            "For {count} million {currency}, {company} will take over its rival {rival}, both said on {day}.",
        ],
        headlines: ["{company} to buy {rival}", "{company} buys {rival} for {count} million"],
    },
    Event {
        name: "strike",
        leads: [
            "Some {count} workers of {company} went on strike in {town} on {day} after talks about {issue} failed.",
            "After talks about {issue} failed, {count} workers of {company} in {town} stopped work on {day} {part}.",
        ],
        headlines: ["{count} {company} workers strike over {issue}", "workers in {town} strike over {issue}"],
    },
    Event {
        name: "match",
        leads: [
            "{town} beat {place} in the final on {day} {part}, with {first} {last} scoring {few} goals.",
            "With {few} goals by {first} {last}, {town} won the final against {place} on {day}.",
        ],
        headlines: ["{last} scores {few} as {town} beat {place}", "{town} beat {place} in final"],
    },
    Event {
        name: "opening",
        leads: [
            "Mayor {first} {last} opened a new {building} in {town} on {day} that cost {count} million {currency}.",
            "A new {building} that cost {count} million {currency} opened in {town} on {day} {part}.",
        ],
        headlines: ["{town} opens new {building}", "new {building} opens in {town}"],
    },
    Event {
        name: "court",
        leads: [
            "A court in {town} sentenced the {role} {first} {last} to {few} years in prison for {crime} on {day}.",
            "The {role} {first} {last} must go to prison for {few} years for {crime}, a court in {town} ruled on {day}.",
        ],
        headlines: ["{last} gets {few} years for {crime}", "{role} {last} sentenced for {crime}"],
    },
    Event {
        name: "find",
        leads: [
            "Researchers led by {first} {last} found {find} near {town} on {day}, {company} said.",
            "Near {town}, {first} {last} and a team of {company} came upon {find} on {day} {part}.",
        ],
        headlines: ["{find} found near {town}", "{last} finds {find} near {town}"],
    },
    Event {
        name: "election",
        leads: [
            "{first} {last}, a {role}, was elected mayor of {town} on {day} with {percent} percent of the votes.",
            "With {percent} percent of the votes, the {role} {first} {last} won the election in {town} on {day}.",
        ],
        headlines: ["{last} elected mayor of {town}", "{last} wins election in {town}"],
    },
    Event {
        name: "record",
        leads: [
            "The {role} {first} {last} from {town} swam {count} kilometers on {day}, more than anyone before.",
            "On {day} {part}, {first} {last}, a {role} from {town}, set a record by swimming {count} kilometers.",
        ],
        headlines: ["{role} swims record {count} kilometers", "{last} of {town} sets swimming record"],
    },
    Event {
        name: "closure",
        leads: [
            "{company} will close its factory in {town} on {day}, which costs {count} people their jobs.",
            "Some {count} people in {town} lose their jobs as {company} closes its factory there on {day}.",
        ],
        headlines: ["{company} closes factory in {town}", "{count} lose jobs as {company} leaves {town}"],
    },
];

/// Sentences after the lead. Their names and numbers are those of no headline.
const REMARKS: [&str; 8] = [
    "Officials in {other_town} did not comment.",
    "{other_first} {other_last} of the newspaper in {other_town} first reported the news.",
    "It was the first case of its kind in {years} years.",
    "More than {crowd} people followed the events online.",
    "{other_first} {other_last}, a {other_role}, called it a surprise.",
    "Further details are expected on {later}.",
    "In {other_town}, people had talked about it for {years} weeks.",
    "The {other_role} {other_last} of {other_company} had warned of it in a letter.",
];

const FIRST_NAMES: [&str; 12] =
    ["Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Ida", "Jonas", "Laura", "Max"];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const PARTS: [&str; 4] = ["morning", "afternoon", "evening", "night"];
const ROLES: [&str; 10] =
    ["officer", "teacher", "engineer", "farmer", "lawyer", "nurse", "pilot", "baker", "painter", "banker"];
const BUILDINGS: [&str; 6] = ["barns", "houses", "shops", "workshops", "boats", "cabins"];
const BUILDING: [&str; 8] = ["bridge", "library", "hospital", "museum", "school", "station", "theater", "tunnel"];
const COMPANIES: [&str; 6] = ["Motors", "Energy", "Foods", "Systems", "Bank", "Airlines"];
const CURRENCIES: [&str; 4] = ["euros", "dollars", "francs", "crowns"];
const ISSUES: [&str; 6] = ["pay", "pensions", "working hours", "safety", "night shifts", "job cuts"];
const CRIMES: [&str; 6] = ["fraud", "theft", "arson", "bribery", "smuggling", "forgery"];
const FINDS: [&str; 6] =
    ["a Roman coin", "a sunken ship", "a new beetle", "old letters", "a gold ring", "dinosaur bones"];

/// The training, validation and test split.
fn generate() -> [Records; 3] {
    [0, 1, 2].map(|split| {
        let [mut texts, mut headlines, mut events] = [(); 3].map(|()| Vec::with_capacity(SIZES[split]));
        for index in 0..SIZES[split] {
            let [text, headline, event] = item(split, index).map(Arc::from);
            texts.push(text);
            headlines.push(headline);
            events.push(event);
        }
        let columns = [("text", texts), ("headline", headlines), ("event", events)];
        Records::new(columns.map(|(name, texts)| (name, Column::Text(texts))))
    })
}

/// Text, headline and event of an item.
fn item(split: usize, index: usize) -> [String; 3] {
    let mut rng = Key::new(SEED, Purpose::Data).with_first(split as u64).offset(index as u64).stream();
    let slots = slots(&mut rng, split);
    let event = &EVENTS[rng.random_range(0..EVENTS.len())];
    let [lead, headline] = [event.leads, event.headlines].map(|templates| fill(one_of(&templates, &mut rng), &slots));
    let mut remarks = REMARKS;
    remarks.shuffle(&mut rng);
    let count = rng.random_range(1..=3);
    let remarks = remarks.iter().take(count).map(|remark| fill(remark, &slots));
    let text = std::iter::once(lead).chain(remarks).collect::<Vec<_>>().join(" ");
    [text, headline, event.name.to_owned()]
}

/// A value of each slot.
fn slots(rng: &mut impl Rng, split: usize) -> BTreeMap<&'static str, String> {
    let words: [(&str, &[&str]); 13] = [
        ("first", &FIRST_NAMES),
        ("other_first", &FIRST_NAMES),
        ("day", &DAYS),
        ("later", &DAYS),
        ("part", &PARTS),
        ("role", &ROLES),
        ("other_role", &ROLES),
        ("buildings", &BUILDINGS),
        ("building", &BUILDING),
        ("currency", &CURRENCIES),
        ("issue", &ISSUES),
        ("crime", &CRIMES),
        ("find", &FINDS),
    ];
    let numbers =
        [("count", 2..=999), ("few", 2..=9), ("percent", 31..=69), ("years", 2..=60), ("crowd", 1_000..=9_999)];
    let mut slots: BTreeMap<&str, String> =
        words.map(|(slot, words)| (slot, one_of(words, rng).to_owned())).into_iter().collect();
    slots.extend(numbers.map(|(slot, range)| (slot, rng.random_range::<u32, _>(range).to_string())));
    slots.extend(["last", "other_last", "town", "place", "other_town"].map(|slot| (slot, name(rng, split))));
    let company = |slot| (slot, format!("{} {}", name(rng, split), one_of(&COMPANIES, rng)));
    slots.extend(["company", "rival", "other_company"].map(company));
    slots
}

/// A name of a split: two random syllables, and a third with which the sum of the three has one of the split's remainders.
fn name(rng: &mut impl Rng, split: usize) -> String {
    let [first, second] = [(); 2].map(|()| rng.random_range(0..SYLLABLES));
    let remainder = rng.random_range(REMAINDERS[split].clone());
    let third =
        (2 * SYLLABLES + remainder - first - second) % CLASSES + CLASSES * rng.random_range(0..SYLLABLES / CLASSES);
    let letters = [first, second, third].map(|syllable| [CONSONANTS[syllable / 5], VOWELS[syllable % 5]]);
    let mut letters = letters.into_iter().flatten();
    let capital = letters.next().map(|letter| letter.to_ascii_uppercase());
    capital.into_iter().chain(letters).collect()
}

fn one_of<'a>(words: &[&'a str], rng: &mut impl Rng) -> &'a str {
    words[rng.random_range(0..words.len())]
}

/// A template with the values of its slots, which are in braces.
fn fill(template: &str, slots: &BTreeMap<&str, String>) -> String {
    let parts = template.split(['{', '}']).enumerate();
    parts.map(|(index, part)| if index % 2 == 0 { part } else { slots[part].as_str() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Split;
    use crate::transduction::Transduction;
    use std::collections::BTreeSet;

    fn placeholders(template: &str) -> BTreeSet<&str> {
        template.split(['{', '}']).skip(1).step_by(2).collect()
    }

    #[test]
    fn a_headline_only_says_what_each_lead_says() {
        for Event { name, leads, headlines } in &EVENTS {
            for (lead, headline) in leads.iter().flat_map(|lead| headlines.iter().map(move |headline| (lead, headline)))
            {
                let (lead, headline) = (placeholders(lead), placeholders(headline));
                assert!(headline.is_subset(&lead), "{name}: {headline:?} {lead:?}");
                assert!(REMARKS.iter().all(|remark| placeholders(remark).is_disjoint(&headline)), "{name}");
            }
        }
    }

    #[test]
    fn names_of_a_split_occur_in_no_other() {
        let mut rng = Key::new(1, Purpose::Data).stream();
        let names: [BTreeSet<String>; 3] = [0, 1, 2].map(|split| (0..2_000).map(|_| name(&mut rng, split)).collect());
        assert!(names.iter().flatten().all(|name| name.len() == 6 && name.starts_with(|c: char| c.is_uppercase())));
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            assert!(names[one].is_disjoint(&names[other]));
        }
        // Of 409,600 names of the training split, few are drawn twice.
        assert!(names[0].len() > 1_900, "{}", names[0].len());
    }

    #[test]
    fn items_have_two_to_four_sentences_and_are_a_function_of_split_and_index() {
        let splits = GENERATOR.splits(&toml::Table::new()).unwrap();
        let data = Transduction::from_records(&splits).unwrap();
        let mut events = BTreeSet::new();
        for (number, (split, size)) in Split::ALL.into_iter().zip(SIZES).enumerate() {
            let pairs = data.split(split);
            assert_eq!(pairs.len(), size);
            for pair in pairs {
                let sentences = pair.source.matches(". ").count() + 1;
                assert!((2..=4).contains(&sentences) && pair.source.ends_with('.'), "{}", pair.source);
                assert!(!pair.source.contains(['{', '}']) && !pair.target.contains(['{', '}']), "{}", pair.target);
            }
            events.extend(pairs.iter().map(|pair| pair.groups[0].clone()));
            let [text, headline, _] = item(number, 7);
            assert_eq!((&text, &headline), (&pairs[7].source, &pairs[7].target));
        }
        assert_eq!(events.len(), EVENTS.len());
    }
}
