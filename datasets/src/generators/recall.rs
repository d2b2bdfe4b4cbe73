//! Long-range recall, generated: predict a noun that was mentioned several sentences earlier.
//!
//! ```text
//! text    := opening filler* closing ___
//! opening := "When Anna tried to print her old tickets, she found that the printer was out of toner."
//! filler  := "At noon, the baker washed a red kettle near the bridge."
//! closing := "After installing the toner, she finally printed her"
//! ```
//!
//! The label is one of twenty nouns, mentioned once, in the opening; everything else is independent of the noun. The filler
//! between opening and closing has 0, 10, 25, 50 or 100 tokens, as counted by [`tokenize_words`], equally often, and the nouns are
//! balanced at each distance. The task tests memory only: searching the text for one of the twenty nouns is always correct, so this
//! rule is not a baseline.

use std::collections::HashSet;

use seqzoo_random::{IndexedRandom, Key, Purpose, Rng, RngExt};

use super::{Generate, Generator};
use crate::records::{Column, Records};
use crate::text::tokenize_words;

/// The generator.
pub(super) static GENERATOR: Generator = Generator {
    name: "recall",
    summary: "27,500 generated texts; recall a word after 0 to 100 filler tokens. Built in",
    example: "When Anna tried to print her tickets, she found that the printer was out of toner. After installing the \
              toner, she finally printed her",
    roles: &[("text", "text"), ("label", "noun")],
    groups: &["filler tokens"],
    labels: &NOUNS,
    baselines: &[],
    options: &[],
    generate: Generate::Fixed(generate),
};

/// Numbers of filler tokens between opening and closing.
pub const DISTANCES: [usize; 5] = [0, 10, 25, 50, 100];

/// Texts per split; each pair of noun and distance has a hundredth of them.
const TRAIN: usize = 20_000;
const VALIDATION: usize = 2_500;
const TEST: usize = 5_000;

/// Random seed of the texts; the seed of a run does not affect them.
const SEED: u64 = 1997;

/// The training, validation and test split.
fn generate() -> [Records; 3] {
    let mut texts = Texts { rng: Key::new(SEED, Purpose::Data).stream(), seen: HashSet::new() };
    [TRAIN, VALIDATION, TEST].map(|size| texts.split(size))
}

/// Generates texts that are in no split yet.
struct Texts<R> {
    rng: R,
    seen: HashSet<String>,
}

impl<R: Rng> Texts<R> {
    fn split(&mut self, size: usize) -> Records {
        let [mut texts, mut nouns, mut distances] = [(); 3].map(|()| Vec::with_capacity(size));
        while texts.len() < size {
            // Alternating balances the nouns within each distance.
            let distance = DISTANCES[texts.len() % DISTANCES.len()];
            let noun = NOUNS[texts.len() / DISTANCES.len() % NOUNS.len()];
            let text = self.text(noun, distance);
            if self.seen.insert(text.clone()) {
                texts.push(text);
                nouns.push(noun.to_owned());
                distances.push(distance.to_string());
            }
        }
        Records::new(
            [("text", texts), ("noun", nouns), ("filler tokens", distances)]
                .map(|(name, texts)| (name, Column::text(texts))),
        )
    }

    fn text(&mut self, noun: &str, distance: usize) -> String {
        let [name, pronoun, possessive] = self.choose(&PEOPLE);
        let [verb, past, obstacle, remedy] = self.choose(&TASKS);
        let quality = self.maybe(0.5, |generator| format!("{} ", generator.choose(&QUALITIES)));
        let fill = |template: &str| {
            let named = [
                ("{name}", name),
                ("{pronoun}", pronoun),
                ("{possessive}", possessive),
                ("{verb}", verb),
                ("{past}", past),
                ("{obstacle}", obstacle),
                ("{remedy}", remedy),
                ("{quality}", &quality),
                ("{noun}", noun),
            ];
            capitalized(&named.iter().fold(template.to_owned(), |text, (name, value)| text.replace(name, value)))
        };
        let opening = fill(self.choose(&OPENINGS));
        let filler = self.filler(distance);
        let closing = fill(self.choose(&CLOSINGS));
        [vec![opening], filler, vec![closing]].concat().join(" ")
    }

    /// Sentences with exactly `tokens` tokens in total.
    fn filler(&mut self, tokens: usize) -> Vec<String> {
        let mut sentences = Vec::new();
        let mut left = tokens;
        while left > 0 {
            let sentence = self.sentence();
            let count = tokenize_words(&sentence).count();
            // No sentence fits into a remainder shorter than the shortest one.
            if count == left || count + SHORTEST <= left {
                left -= count;
                sentences.push(sentence);
            }
        }
        sentences
    }

    fn sentence(&mut self) -> String {
        let time = self.maybe(0.3, |generator| format!("{}, ", generator.choose(&TIMES)));
        let clause = self.clause();
        let second =
            self.maybe(0.3, |generator| format!(", {} {}", generator.choose(&CONJUNCTIONS), generator.clause()));
        capitalized(&format!("{time}{clause}{second}."))
    }

    fn clause(&mut self) -> String {
        match self.rng.random_range(0..8) {
            0..4 => {
                let (subject, verb, object) = (self.subject(), self.choose(&TRANSITIVE), self.object());
                format!("{subject} {verb} {object}{}", self.place())
            }
            4..6 => {
                let (subject, verb) = (self.subject(), self.choose(&INTRANSITIVE));
                let adverb = self.maybe(0.4, |generator| format!(" {}", generator.choose(&ADVERBS)));
                format!("{subject} {verb}{adverb}{}", self.place())
            }
            6 => format!("there was a {}{}{}", self.adjective(), self.choose(&THINGS), self.place()),
            _ => self.choose(&EVENTS).to_owned(),
        }
    }

    fn subject(&mut self) -> String {
        match self.rng.random_bool(0.3) {
            true => self.choose(&NAMES).to_owned(),
            false => format!("the {}{}", self.adjective(), self.choose(&PERSONS)),
        }
    }

    fn object(&mut self) -> String {
        format!("{} {}{}", self.choose(&DETERMINERS), self.adjective(), self.choose(&THINGS))
    }

    fn place(&mut self) -> String {
        self.maybe(0.4, |generator| format!(" {} the {}", generator.choose(&PREPOSITIONS), generator.choose(&PLACES)))
    }

    fn adjective(&mut self) -> String {
        self.maybe(0.4, |generator| format!("{} ", generator.choose(&ADJECTIVES)))
    }

    fn maybe(&mut self, probability: f64, generate: impl FnOnce(&mut Self) -> String) -> String {
        if self.rng.random_bool(probability) { generate(self) } else { String::new() }
    }

    fn choose<T: Copy>(&mut self, choice: &[T]) -> T {
        *choice.choose(&mut self.rng).expect("lists are not empty")
    }
}

fn capitalized(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().into_iter().flat_map(char::to_uppercase);
    first.chain(rest).collect()
}

/// The labels; each fits every task below, and none is in another list.
const NOUNS: [&str; 20] = [
    "tickets", "letters", "posters", "menus", "maps", "poems", "reports", "drawings", "essays", "recipes", "photos",
    "stories", "speeches", "cards", "leaflets", "notes", "plans", "lists", "songs", "diaries",
];

/// Owners: name, subject pronoun, possessive.
const PEOPLE: [[&str; 3]; 16] = [
    ["Anna", "she", "her"],
    ["Clara", "she", "her"],
    ["Ruth", "she", "her"],
    ["the clerk", "she", "her"],
    ["my aunt", "she", "her"],
    ["she", "she", "her"],
    ["Thomas", "he", "his"],
    ["David", "he", "his"],
    ["Omar", "he", "his"],
    ["the assistant", "he", "his"],
    ["your brother", "he", "his"],
    ["he", "he", "his"],
    ["the twins", "they", "their"],
    ["they", "they", "their"],
    ["we", "we", "our"],
    ["I", "I", "my"],
];

/// Tasks: verb, past participle, obstacle, remedy.
const TASKS: [[&str; 4]; 14] = [
    ["print", "printed", "the printer was out of toner", "installing the toner"],
    ["copy", "copied", "the copier had run out of paper", "loading fresh paper"],
    ["scan", "scanned", "the cable of the scanner was broken", "replacing the cable"],
    ["sort", "sorted", "the desk was covered with crumbs", "wiping the desk"],
    ["frame", "framed", "the glass had cracked", "ordering new glass"],
    ["sign", "signed", "the pen had dried up", "borrowing another pen"],
    ["mail", "mailed", "the envelopes were too small", "buying larger envelopes"],
    ["staple", "stapled", "the stapler was empty", "refilling the stapler"],
    ["bind", "bound", "the thread kept tearing", "waxing the thread"],
    ["wrap", "wrapped", "the ribbon was too short", "cutting a longer ribbon"],
    ["upload", "uploaded", "the password had expired", "choosing a new password"],
    ["pack", "packed", "the box was full of dust", "emptying the box"],
    ["deliver", "delivered", "the bicycle had a flat tyre", "mending the tyre"],
    ["find", "found", "the light had gone out", "changing the bulb"],
];

const QUALITIES: [&str; 10] =
    ["old", "new", "latest", "best", "finest", "own", "shabby", "precious", "secret", "spare"];

const OPENINGS: [&str; 7] = [
    "when {name} tried to {verb} {possessive} {quality}{noun}, {pronoun} found that {obstacle}.",
    "{name} wanted to {verb} {possessive} {quality}{noun}, but {obstacle}.",
    "because {obstacle}, {name} could not {verb} {possessive} {quality}{noun}.",
    "{possessive} {quality}{noun} should have been {past} long ago, but {name} saw that {obstacle}.",
    "yesterday {name} promised to {verb} {possessive} {quality}{noun}, yet {obstacle}.",
    "{obstacle}, {name} noticed, so nobody could {verb} {possessive} {quality}{noun} that day.",
    "it was impossible to {verb} {possessive} {quality}{noun}, as {name} discovered, because {obstacle}.",
];

const CLOSINGS: [&str; 7] = [
    "after {remedy}, {pronoun} finally {past} {possessive}",
    "in the end {name} solved the problem by {remedy} and {past} {possessive}",
    "by {remedy}, {name} at last managed to {verb} {possessive}",
    "late in the evening, after {remedy}, {pronoun} could {verb} {possessive}",
    "{name} did not give up, and after {remedy} {pronoun} {past} {possessive}",
    "all was well after {remedy}, and {name} gladly {past} {possessive}",
    "once again {name} set to work, and thanks to {remedy} {pronoun} soon {past} {possessive}",
];

/// Tokens of the shortest filler sentence: an event, or a name and a verb, and the period.
const SHORTEST: usize = 3;

const NAMES: [&str; 12] =
    ["Ida", "Oskar", "Lena", "Victor", "Nora", "Felix", "Ella", "Hugo", "Marta", "Simon", "Greta", "Leon"];

const PERSONS: [&str; 24] = [
    "tailor", "baker", "gardener", "pilot", "nurse", "painter", "sailor", "waiter", "judge", "hunter", "joiner",
    "singer", "cousin", "boy", "girl", "porter", "butcher", "shepherd", "mayor", "mechanic", "dentist", "plumber",
    "actress", "guest",
];

const TRANSITIVE: [&str; 26] = [
    "painted", "washed", "repaired", "bought", "sold", "carried", "dropped", "borrowed", "cleaned", "moved", "admired",
    "lifted", "covered", "hid", "brought", "lost", "polished", "weighed", "dried", "shook", "measured", "liked",
    "examined", "kicked", "opened", "wanted",
];

const INTRANSITIVE: [&str; 18] = [
    "sang", "laughed", "slept", "waited", "danced", "whistled", "sneezed", "smiled", "worked", "rested", "shouted",
    "hummed", "yawned", "dreamt", "arrived", "coughed", "walked", "stumbled",
];

/// Like `THINGS`, none begins with a vowel, so that each may follow "a".
const ADJECTIVES: [&str; 24] = [
    "red", "blue", "heavy", "small", "plain", "round", "wooden", "dusty", "shiny", "damaged", "strange", "cheap",
    "huge", "narrow", "soft", "warm", "wet", "hollow", "yellow", "precious", "green", "clean", "noisy", "purple",
];

const THINGS: [&str; 44] = [
    "fence", "bucket", "ladder", "kettle", "blanket", "hammer", "carpet", "basket", "teapot", "piano", "cart",
    "lantern", "mirror", "cupboard", "sofa", "shovel", "rope", "barrel", "trumpet", "suitcase", "cushion", "bottle",
    "spoon", "helmet", "saddle", "drum", "kite", "clock", "chair", "boat", "cake", "coat", "ring", "bell", "broom",
    "candle", "curtain", "violin", "pillow", "plate", "hat", "scarf", "tent", "sledge",
];

const DETERMINERS: [&str; 9] = ["the", "a", "that", "this", "his", "her", "their", "my", "our"];

const ADVERBS: [&str; 12] = [
    "quietly", "loudly", "happily", "slowly", "again", "alone", "early", "bravely", "calmly", "politely", "in vain",
    "as usual",
];

const PREPOSITIONS: [&str; 7] = ["in", "near", "behind", "beside", "outside", "opposite", "by"];

const PLACES: [&str; 28] = [
    "garden", "kitchen", "harbour", "station", "market", "church", "barn", "library", "school", "forest", "river",
    "bridge", "castle", "museum", "hotel", "cellar", "attic", "square", "park", "stable", "mill", "pier", "bakery",
    "theatre", "village", "valley", "hill", "tower",
];

const TIMES: [&str; 12] = [
    "at noon", "at dawn", "at night", "one day", "later", "in May", "at first", "for once", "at last", "by then",
    "soon", "at ten",
];

const CONJUNCTIONS: [&str; 5] = ["and", "but", "while", "because", "so"];

const EVENTS: [&str; 12] = [
    "it rained",
    "it snowed",
    "it was cold",
    "the wind blew",
    "the sun came out",
    "clouds gathered",
    "the fog lifted",
    "thunder rolled",
    "the stars shone",
    "nothing happened",
    "a dog barked",
    "the grass grew taller",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classification::{Classification, Example};
    use crate::naive_bayes::NaiveBayes;
    use crate::records::Split;
    use crate::scores::group;
    use crate::text::Tokenization;
    use std::collections::HashMap;

    fn load() -> Classification {
        let splits = GENERATOR.splits(&toml::Table::new()).unwrap();
        Classification::from_records(&splits).unwrap()
    }

    #[test]
    fn splits_are_disjoint_and_nouns_are_balanced_at_each_distance() {
        let data = load();
        let all: HashSet<&str> = Split::ALL.iter().flat_map(|&split| data.split(split)).map(|e| &*e.text).collect();
        assert_eq!(all.len(), TRAIN + VALIDATION + TEST);
        for (split, size) in Split::ALL.into_iter().zip([TRAIN, VALIDATION, TEST]) {
            let mut counts: HashMap<_, usize> = HashMap::new();
            data.split(split).iter().for_each(|e| *counts.entry((e.label, &e.groups)).or_default() += 1);
            assert_eq!(counts.len(), NOUNS.len() * DISTANCES.len());
            assert!(counts.values().all(|&count| count == size / counts.len()), "{counts:?}");
        }
    }

    #[test]
    fn only_the_opening_has_a_noun_and_the_group_is_the_filler_length() {
        for Example { text, label, groups } in load().test {
            let (opening, rest) = text.split_once('.').unwrap();
            let (filler, closing) = rest.rsplit_once('.').unwrap_or(("", rest));
            let filler = if filler.is_empty() { String::new() } else { format!("{filler}.") };
            assert_eq!(*groups, [group("filler tokens", tokenize_words(&filler).count().to_string())], "{text}");
            let nouns = |text: &str| tokenize_words(text).filter(|word| NOUNS.contains(&&**word)).collect::<Vec<_>>();
            assert_eq!((nouns(opening), nouns(rest)), (vec![NOUNS[label].to_owned()], vec![]), "{text}");
            assert!(["her", "his", "their", "our", "my"].iter().any(|owner| closing.ends_with(owner)), "{text}");
        }
    }

    #[test]
    fn text_after_the_opening_is_varied_and_independent_of_the_noun() {
        let data = load();
        let rest = |example: &Example| example.text.split_once('.').map(|(_, rest)| (rest.to_owned(), example.label));
        let [train, test] = [&data.train, &data.test].map(|split| split.iter().filter_map(rest).collect::<Vec<_>>());
        let known: HashSet<String> = train.iter().flat_map(|(rest, _)| tokenize_words(rest)).collect();
        assert!((300..600).contains(&known.len()), "{} words", known.len());
        let seen = train.iter().map(|(rest, label)| (&**rest, *label));
        let model = NaiveBayes::fit(seen, NOUNS.len(), Tokenization::Words, 2, 1.0);
        let hits = test.iter().filter(|(rest, label)| model.predict(rest) == *label).count();
        let [share, chance] = [hits as f64 / test.len() as f64, 1.0 / NOUNS.len() as f64];
        assert!((share - chance).abs() < 0.01, "{share}");
    }
}
