//! Subject–verb agreement, generated: predict the verb form after "the keys to the cabinet".
//!
//! ```text
//! sentence := [fronted] phrase modifier*  ___
//! fronted  := preposition phrase [preposition phrase | clause ","] [","]
//! phrase   := determiner [adjective] noun
//! modifier := preposition phrase  |  clause  |  "," clause ","
//! clause   := relative phrase verb  |  relative verb phrase
//! ```
//!
//! The verb form depends on the number (singular or plural) of the subject: the first phrase that follows no preposition,
//! relative pronoun or verb. Neither commas nor position identify the subject: the fronted phrase may end without a comma, and
//! clauses may be enclosed in two. A noun between subject and verb is an *attractor* if its number differs from the subject's:
//! 0 to 5 of them, equally often. A verb inside a relative clause agrees with the noun of its own clause. Some pairs of noun
//! and clause verb occur in the test split only. After Linzen, Dupoux and Goldberg, "Assessing the ability of LSTMs to learn
//! syntax-sensitive dependencies", TACL 4, 2016.

use std::cmp::Ordering;
use std::collections::HashSet;

use seqzoo_random::{IndexedRandom, Key, Purpose, Rng, RngExt, SliceRandom};

use super::{Generate, Generator};
use crate::baselines::Baseline;
use crate::records::{Column, Records};

/// The generator.
pub(super) static GENERATOR: Generator = Generator {
    name: "agreement",
    summary: "30,000 generated sentences; predict the form of the verb, is or are; after Linzen et al. 2016. Built in",
    example: "the keys to the cabinet",
    roles: &[("text", "text"), ("label", "verb")],
    groups: &GROUPS,
    labels: &BE,
    baselines: &[
        Baseline { name: "number of the first noun", rule: |text| nouns(text).next() },
        Baseline { name: "number of the last noun", rule: |text| nouns(text).last() },
        Baseline { name: "majority number of the nouns", rule: majority },
    ],
    options: &[],
    generate: Generate::Fixed(generate),
};

const GROUPS: [&str; 3] = ["attractors", "words from subject to verb", "noun-verb pair"];

/// Maximum number of attractors.
pub const MAX_ATTRACTORS: usize = 5;

/// Sentences per split; each number of attractors has a sixth of them, 1,000 in the test split.
const TRAIN: usize = 21_000;
const VALIDATION: usize = 3_000;
const TEST: usize = 6_000;

/// Random seed of the sentences; the seed of a run does not affect them.
const SEED: u64 = 2016;

/// The training, validation and test split.
pub(super) fn generate() -> [Records; 3] {
    let mut sentences = Sentences { rng: Key::new(SEED, Purpose::Data).stream(), seen: HashSet::new() };
    [(TRAIN, Pairs::Common), (VALIDATION, Pairs::Common), (TEST, Pairs::All)]
        .map(|(size, pairs)| sentences.split(size, pairs))
}

/// The labels of the nouns of a text, in order.
fn nouns(text: &str) -> impl Iterator<Item = usize> {
    text.split_whitespace()
        .filter_map(|word| Number::BOTH.iter().position(|number| NOUNS.iter().any(|noun| number.form(noun) == word)))
}

/// The majority label of the nouns of a text; the label of the last noun in a tie.
fn majority(text: &str) -> Option<usize> {
    let labels: Vec<usize> = nouns(text).collect();
    let plural = labels.iter().filter(|&&label| label == Number::Plural as usize).count();
    match (2 * plural).cmp(&labels.len()) {
        Ordering::Less => Some(Number::Singular as usize),
        Ordering::Equal => labels.last().copied(),
        Ordering::Greater => Some(Number::Plural as usize),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Singular,
    Plural,
}

impl Number {
    /// In label order.
    const BOTH: [Number; 2] = [Number::Singular, Number::Plural];

    fn form<'a>(self, forms: &[&'a str; 2]) -> &'a str {
        forms[self as usize]
    }

    fn other(self) -> Number {
        Self::BOTH[1 - self as usize]
    }
}

/// The pairs of noun and clause verb that may occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pairs {
    /// The pairs of the training and validation splits.
    Common,
    /// Also the pairs held out for the test split, half of the time.
    All,
}

/// Whether a pair of noun and clause verb occurs in the test split only: one in eight verbs of each noun.
fn is_held_out(noun: usize, verb: usize) -> bool {
    (5 * noun + verb).is_multiple_of(8)
}

/// The range of ten words that a distance is in.
fn bucket(distance: usize) -> String {
    match distance / 10 {
        ten @ 0..=3 => format!("{}-{}", 10 * ten, 10 * ten + 9),
        _ => "40 or more".to_owned(),
    }
}

/// Generates sentences that are in no split yet.
struct Sentences<R> {
    rng: R,
    seen: HashSet<String>,
}

impl<R: Rng> Sentences<R> {
    fn split(&mut self, size: usize, pairs: Pairs) -> Records {
        let (mut texts, mut verbs) = (Vec::with_capacity(size), Vec::with_capacity(size));
        let mut groups = GROUPS.map(|_| Vec::with_capacity(size));
        while texts.len() < size {
            // Alternating balances singular and plural within each number of attractors.
            let attractors = texts.len() / 2 % (MAX_ATTRACTORS + 1);
            let number = Number::BOTH[texts.len() % 2];
            let mut sentence = Sentence { rng: &mut self.rng, words: Vec::new(), pairs, unseen_pair: false };
            let distance = sentence.generate(number, attractors);
            let (text, unseen_pair) = (sentence.words.join(" "), sentence.unseen_pair);
            if self.seen.insert(text.clone()) {
                let pair = if unseen_pair { "unseen" } else { "seen" };
                let of_sentence = [attractors.to_string(), bucket(distance), pair.to_owned()];
                groups.iter_mut().zip(of_sentence).for_each(|(groups, group)| groups.push(group));
                texts.push(text);
                verbs.push(number.form(&BE));
            }
        }
        let groups = GROUPS.into_iter().zip(groups.map(Column::text));
        Records::new([("text", Column::text(texts)), ("verb", Column::text(verbs))].into_iter().chain(groups))
    }
}

/// A sentence under construction, up to its verb.
struct Sentence<'a, R> {
    rng: &'a mut R,
    words: Vec<&'static str>,
    pairs: Pairs,
    unseen_pair: bool,
}

impl<R: Rng> Sentence<'_, R> {
    /// Generates the sentence and returns the number of words between the subject and the verb.
    fn generate(&mut self, subject: Number, attractors: usize) -> usize {
        if self.rng.random_bool(0.7) {
            self.fronted();
        }
        let mut previous = self.phrase(subject);
        let begin = self.words.len();
        let mut previous_number = subject;
        for number in self.intervening(subject, attractors) {
            (previous, previous_number) = (self.modifier(previous, previous_number, number), number);
        }
        self.words.len() - begin
    }

    /// Numbers of the nouns between subject and verb: the attractors, and nouns that agree with the subject. Both counts have the
    /// same distribution, so that counting nouns is uninformative.
    fn intervening(&mut self, subject: Number, attractors: usize) -> Vec<Number> {
        let agreeing = self.rng.random_range(0..=MAX_ATTRACTORS);
        let mut numbers = [vec![subject.other(); attractors], vec![subject; agreeing]].concat();
        numbers.shuffle(self.rng);
        numbers
    }

    fn fronted(&mut self) {
        let numbers = [(); 2].map(|()| Number::BOTH[self.rng.random_range(0..2)]);
        self.word(&PREPOSITIONS);
        let noun = self.phrase(numbers[0]);
        let ends_in_verb = match self.rng.random_range(0..4) {
            0 => false,
            1 | 2 => {
                self.word(&PREPOSITIONS);
                self.phrase(numbers[1]);
                false
            }
            _ => {
                self.clause(noun, numbers[0], numbers[1]);
                true
            }
        };
        // Without a comma after a clause, the subject could be parsed as the object of that clause.
        if ends_in_verb || self.rng.random_bool(0.5) {
            self.words.push(",");
        }
    }

    /// Adds determiner, optional adjective and noun. Returns the index of the noun.
    fn phrase(&mut self, number: Number) -> usize {
        let noun = self.rng.random_range(0..NOUNS.len());
        self.word(&DETERMINERS);
        if self.rng.random_bool(0.25) {
            self.word(&ADJECTIVES);
        }
        self.words.push(number.form(&NOUNS[noun]));
        noun
    }

    /// Adds a modifier of the `previous` noun that contains a noun of `number`. Returns the index of the latter.
    fn modifier(&mut self, previous: usize, previous_number: Number, number: Number) -> usize {
        match self.rng.random_range(0..10) {
            0..6 => {
                self.word(&PREPOSITIONS);
                self.phrase(number)
            }
            6..9 => self.clause(previous, previous_number, number),
            _ => {
                self.words.push(",");
                let noun = self.clause(previous, previous_number, number);
                self.words.push(",");
                noun
            }
        }
    }

    /// Adds a relative clause about the `previous` noun, with a noun of `number` as its subject or object. Returns its index.
    fn clause(&mut self, previous: usize, previous_number: Number, number: Number) -> usize {
        self.word(&RELATIVES);
        if self.rng.random_bool(0.5) {
            let noun = self.phrase(number);
            self.clause_verb(noun, number);
            noun
        } else {
            self.clause_verb(previous, previous_number);
            self.phrase(number)
        }
    }

    fn clause_verb(&mut self, noun: usize, number: Number) {
        let held_out = self.pairs == Pairs::All && self.rng.random_bool(0.5);
        let candidates: Vec<usize> = (0..VERBS.len()).filter(|&verb| is_held_out(noun, verb) == held_out).collect();
        let &verb = candidates.choose(self.rng).expect("sixteen verbs: each noun has two held out");
        self.unseen_pair |= held_out;
        self.words.push(number.form(&VERBS[verb]));
    }

    fn word(&mut self, choice: &[&'static str]) {
        self.words.push(choice.choose(self.rng).expect("word lists are not empty"));
    }
}

const BE: [&str; 2] = ["is", "are"];

const DETERMINERS: [&str; 4] = ["the", "my", "your", "their"];

const RELATIVES: [&str; 2] = ["that", "which"];

const PREPOSITIONS: [&str; 10] = ["to", "of", "near", "behind", "beside", "with", "from", "under", "in", "above"];

const ADJECTIVES: [&str; 14] = [
    "old", "new", "red", "small", "heavy", "quiet", "famous", "broken", "golden", "dusty", "young", "strange", "large",
    "green",
];

/// Singular and plural; no form is also in the list of verbs.
const NOUNS: [[&str; 2]; 48] = [
    ["key", "keys"],
    ["cabinet", "cabinets"],
    ["writer", "writers"],
    ["book", "books"],
    ["door", "doors"],
    ["house", "houses"],
    ["garden", "gardens"],
    ["child", "children"],
    ["woman", "women"],
    ["man", "men"],
    ["teacher", "teachers"],
    ["student", "students"],
    ["doctor", "doctors"],
    ["farmer", "farmers"],
    ["horse", "horses"],
    ["dog", "dogs"],
    ["cat", "cats"],
    ["bird", "birds"],
    ["tree", "trees"],
    ["flower", "flowers"],
    ["table", "tables"],
    ["chair", "chairs"],
    ["window", "windows"],
    ["box", "boxes"],
    ["letter", "letters"],
    ["picture", "pictures"],
    ["mirror", "mirrors"],
    ["lamp", "lamps"],
    ["bottle", "bottles"],
    ["basket", "baskets"],
    ["boat", "boats"],
    ["bridge", "bridges"],
    ["tower", "towers"],
    ["wall", "walls"],
    ["river", "rivers"],
    ["mountain", "mountains"],
    ["village", "villages"],
    ["city", "cities"],
    ["shop", "shops"],
    ["school", "schools"],
    ["engine", "engines"],
    ["clock", "clocks"],
    ["violin", "violins"],
    ["painting", "paintings"],
    ["story", "stories"],
    ["song", "songs"],
    ["neighbour", "neighbours"],
    ["sister", "sisters"],
];

const VERBS: [[&str; 2]; 16] = [
    ["likes", "like"],
    ["sees", "see"],
    ["knows", "know"],
    ["follows", "follow"],
    ["admires", "admire"],
    ["hides", "hide"],
    ["finds", "find"],
    ["covers", "cover"],
    ["touches", "touch"],
    ["holds", "hold"],
    ["needs", "need"],
    ["carries", "carry"],
    ["moves", "move"],
    ["keeps", "keep"],
    ["loses", "lose"],
    ["protects", "protect"],
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classification::{Classification, Example};
    use crate::records::Split;
    use crate::scores::{Metric, group};

    fn load() -> Classification {
        let splits = GENERATOR.splits(&toml::Table::new()).unwrap();
        Classification::from_records(&splits).unwrap()
    }

    #[test]
    fn splits_are_disjoint_and_balanced() {
        let data = load();
        let all: HashSet<&str> = Split::ALL.iter().flat_map(|&split| data.split(split)).map(|e| &*e.text).collect();
        assert_eq!(all.len(), TRAIN + VALIDATION + TEST);
        for split in Split::ALL {
            let examples = data.split(split);
            assert_eq!(2 * examples.iter().filter(|example| example.label == 0).count(), examples.len());
            for attractors in 0..=MAX_ATTRACTORS {
                let group = group("attractors", attractors.to_string());
                assert!(examples.iter().filter(|e| e.groups.contains(&group)).count() >= examples.len() / 6);
            }
        }
    }

    /// The number of the subject, by the definition above, and the numbers of the nouns after it.
    fn subject_and_rest(text: &str) -> (usize, Vec<usize>) {
        let words: Vec<&str> = text.split(' ').collect();
        let begins_subject = |index: usize| {
            let before = index.checked_sub(1).map(|before| words[before]);
            let governed = before.is_some_and(|word| {
                PREPOSITIONS.contains(&word) || RELATIVES.contains(&word) || VERBS.as_flattened().contains(&word)
            });
            DETERMINERS.contains(&words[index]) && !governed
        };
        let start = (0..words.len()).find(|&index| begins_subject(index)).expect("each sentence has a subject");
        let mut numbers = nouns(&words[start..].join(" ")).collect::<Vec<_>>().into_iter();
        (numbers.next().expect("a phrase has a noun"), numbers.collect())
    }

    #[test]
    fn labels_follow_the_subject_and_groups_count_the_attractors() {
        for example in load().test {
            let (subject, rest) = subject_and_rest(&example.text);
            assert_eq!(subject, example.label, "{}", example.text);
            let attractors = rest.iter().filter(|&&number| number != subject).count();
            assert!(example.groups.contains(&group("attractors", attractors.to_string())), "{}", example.text);
        }
    }

    #[test]
    fn held_out_noun_verb_pairs_occur_in_the_test_split_only() {
        let data = load();
        let unseen = group("noun-verb pair", "unseen");
        assert!(data.train.iter().chain(&data.validation).all(|example| !example.groups.contains(&unseen)));
        assert!(data.test.iter().filter(|example| example.groups.contains(&unseen)).count() > 1_000);
        let pairs = |examples: &[Example]| -> HashSet<(String, String)> {
            let is_in = |word: &str, list: &[[&str; 2]]| list.as_flattened().contains(&word);
            let words: Vec<Vec<&str>> = examples.iter().map(|example| example.text.split(' ').collect()).collect();
            let neighbors = words.iter().flat_map(|words| words.windows(2));
            let noun_verb = neighbors.filter(|pair| is_in(pair[0], &NOUNS) && is_in(pair[1], &VERBS));
            noun_verb.map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect()
        };
        let (train, test) = (pairs(&data.train), pairs(&data.test));
        assert!(test.difference(&train).count() >= 2 * NOUNS.len(), "both forms of a held-out pair are tested");
    }

    #[test]
    fn rules_without_syntax_reach_at_most_70_percent() {
        for (name, found) in load().baselines(Split::Test) {
            let accuracy = found.all.get(Metric::ACCURACY).unwrap();
            assert!((0.3..=0.70).contains(&accuracy), "{name}: {accuracy}");
        }
    }

    #[test]
    fn word_lists_are_disjoint() {
        let mut all: Vec<&str> =
            [NOUNS.as_flattened(), VERBS.as_flattened(), &DETERMINERS, &RELATIVES, &PREPOSITIONS, &ADJECTIVES].concat();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
