//! Stop strings, before which generated text ends.

/// Where a text ends that contains one of `stops`: at the start of the one that is complete first; of those that are complete at the same
/// character, the longest. Empty stop strings are ignored.
pub(super) fn end(text: &str, stops: &[String]) -> Option<usize> {
    let found = |stop: &String| text.find(stop.as_str()).map(|start| (start + stop.len(), start));
    stops.iter().filter(|stop| !stop.is_empty()).filter_map(found).min().map(|(_, start)| start)
}

/// Pieces of text up to one of several stop strings, which is not part of them.
///
/// Text is passed on as soon as it cannot begin a stop string.
#[derive(Debug)]
pub struct Until<'a, I> {
    pieces: I,
    stops: &'a [String],
    /// Text that may be the start of a stop string.
    held: String,
    is_done: bool,
}

impl<'a, I: Iterator<Item = String>> Until<'a, I> {
    /// The `pieces` until their text contains one of `stops`; empty stop strings are ignored.
    pub fn new(pieces: I, stops: &'a [String]) -> Self {
        Self { pieces, stops, held: String::new(), is_done: false }
    }
}

impl<I: Iterator<Item = String>> Iterator for Until<'_, I> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        while !self.is_done {
            match self.pieces.next() {
                Some(piece) => self.held += &piece,
                None => self.is_done = true,
            }
            let ready = match end(&self.held, self.stops) {
                Some(end) => {
                    self.is_done = true;
                    end
                }
                None if self.is_done => self.held.len(),
                // The longest end of the text that begins a stop string is held back.
                None => {
                    let begins = |start: &usize| self.stops.iter().any(|stop| stop.starts_with(&self.held[*start..]));
                    let mut starts = self.held.char_indices().map(|(start, _)| start);
                    starts.find(begins).unwrap_or(self.held.len())
                }
            };
            let rest = self.held.split_off(ready);
            let text = std::mem::replace(&mut self.held, rest);
            if !text.is_empty() {
                return Some(text);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn until(pieces: &[&str], stops: &[&str]) -> String {
        Until::new(owned(pieces).into_iter(), &owned(stops)).collect()
    }

    #[test]
    fn text_ends_before_the_first_stop_string() {
        assert_eq!(until(&["so ", "it go", "es, and"], &["goes"]), "so it ");
        assert_eq!(until(&["a", "b", "a", "c"], &["ac", "ba"]), "a");
        assert_eq!(until(&["is a ", "bit of it"], &["s a bit of", "bit"]), "is a ", "`bit` is complete first");
        assert_eq!(until(&["a", "b"], &["abc"]), "ab", "an unfinished stop string is text");
        assert_eq!(until(&["a", "b"], &[""]), "ab");
        assert_eq!(until(&["é", "ü"], &["ü"]), "é");
        let stops = owned(&["y"]);
        let mut endless = Until::new(std::iter::repeat("x".to_owned()), &stops);
        assert_eq!(endless.next().as_deref(), Some("x"), "text that begins no stop string is not held back");
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            text in "[ab]{0,12}", cuts in prop::collection::vec(0..12usize, 0..4), stops in prop::collection::vec("[ab]{1,4}", 1..4),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let pieces: Vec<&str> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            // The shortest part of the text that ends in a stop string, without the longest such string.
            let ends_in = |part: &str| stops.iter().filter(|stop| part.ends_with(**stop)).map(|stop| stop.len()).max();
            let expected = (0..=text.len()).find_map(|end| Some(end - ends_in(&text[..end])?)).unwrap_or(text.len());
            prop_assert_eq!(until(&pieces, &stops), &text[..expected]);
        }
    }
}
