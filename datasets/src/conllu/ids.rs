//! IDs of lines and their order.

/// The ID of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Id {
    Word(usize),
    /// First and last word.
    Multiword(usize, usize),
    /// The preceding word, and the index of the node after that word.
    Empty(usize, usize),
}

impl Id {
    pub(super) fn named(text: &str) -> Option<Self> {
        let number = |text: &str| text.parse().ok().filter(|_| !text.starts_with('+'));
        let pair = |mark| text.split_once(mark).and_then(|(left, right)| Some((number(left)?, number(right)?)));
        let multiword = || pair('-').map(|(first, last)| Id::Multiword(first, last));
        let empty = || pair('.').map(|(word, index)| Id::Empty(word, index));
        number(text).map(Id::Word).or_else(multiword).or_else(empty)
    }
}

/// State of the ID order check within a sentence.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The last word.
    pub(super) words: usize,
    /// Number of empty nodes after it.
    empty: usize,
    /// The last word of a multiword token.
    pub(super) covered: usize,
}

impl Order {
    /// Accepts the ID of the next line, or returns the expected IDs.
    pub(super) fn check(&mut self, id: Id) -> Result<(), String> {
        let next = self.words + 1;
        match id {
            Id::Word(word) if word == next => (self.words, self.empty) = (next, 0),
            Id::Multiword(first, last) if first == next && last >= next && self.covered < next => self.covered = last,
            Id::Empty(word, index) if (word, index) == (self.words, self.empty + 1) => self.empty = index,
            _ => return Err(format!("{next}, {next}-m or {}.{}", self.words, self.empty + 1)),
        }
        Ok(())
    }
}
