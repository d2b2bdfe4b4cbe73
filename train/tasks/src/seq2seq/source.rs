//! Sources, and their tokens in the extended target vocabulary.

use seqzoo_datasets::text::UNKNOWN;

use super::Codec;

/// An encoded source.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Source {
    /// Ids of the tokens in the source vocabulary.
    pub ids: Vec<u32>,
    /// Ids of the tokens in the extended target vocabulary; `None` if the model does not copy.
    pub copies: Option<Vec<usize>>,
    /// The distinct tokens that are not in the target vocabulary, whose ids follow those of the vocabulary and the end of the sequence;
    /// empty if the model does not copy.
    pub unknown: Vec<String>,
}

impl Codec {
    pub(super) fn encode_source(&self, text: &str) -> Source {
        let tokens = self.source.divide(self.level, &self.cleaning.apply(text));
        let ids = tokens.iter().map(|token| self.source.id(token)).collect();
        let mut unknown: Vec<String> = Vec::new();
        if self.copy {
            for token in &tokens {
                if self.target.id(token) == UNKNOWN && !unknown.contains(token) {
                    unknown.push(token.clone());
                }
            }
        }
        let copies = self.copy.then(|| tokens.iter().map(|token| self.extended_id(token, &unknown)).collect());
        Source { ids, copies, unknown }
    }

    /// The id of a token in the target vocabulary extended by the unknown tokens of a source; [`UNKNOWN`] if it is in neither.
    pub(super) fn extended_id(&self, token: &str, unknown: &[String]) -> usize {
        match self.target.id(token) {
            UNKNOWN => {
                let copied = unknown.iter().position(|other| other == token);
                copied.map_or(UNKNOWN as usize, |index| self.targets().size() + index)
            }
            id => id as usize,
        }
    }

    /// The token with an id in the extended target vocabulary; `None` for padding, unknown and the end of the sequence.
    pub(super) fn token<'a>(&'a self, id: usize, source: &'a Source) -> Option<&'a str> {
        let copied = || source.unknown.get(id.checked_sub(self.targets().size())?).map(String::as_str);
        self.target.token(u32::try_from(id).ok()?).or_else(copied)
    }
}

#[cfg(test)]
mod tests {
    use seqzoo_datasets::cleaning::Cleaning;
    use seqzoo_datasets::text::{Tokenization, Vocabulary};
    use seqzoo_datasets::transduction::Pair;

    use super::*;

    fn codec(copy: bool) -> Codec {
        let vocabulary = |tokens: &[&str]| Vocabulary::build(tokens.iter().copied(), 1, 9);
        Codec {
            cleaning: Cleaning::none(),
            level: Tokenization::Words,
            target_level: None,
            source: vocabulary(&["in", "rain", "rain"]),
            target: vocabulary(&["rain", "in"]),
            max_length: 9,
            copy,
        }
    }

    #[test]
    fn unknown_tokens_of_a_source_are_ids_after_the_end_of_the_sequence() {
        let codec = codec(true);
        let pair =
            |source: &str, target: &str| Pair { source: source.into(), target: target.into(), groups: [].into() };
        let encoded = codec.encode(&pair("Bavo: rain in Bavo, Kime", "Rain in Kime, Luto"));
        // Target vocabulary: in 2, rain 3, end 4; Bavo 5, the comma 6, Kime 7. Luto is in neither.
        assert_eq!(encoded.source.copies, Some(vec![5, 3, 2, 5, 6, 7]));
        assert_eq!(encoded.source.unknown, ["bavo", ",", "kime"]);
        assert_eq!(encoded.target, [3, 2, 7, 6, 1, 4]);
        assert_eq!(codec.decode(&encoded.target, &encoded.source), "rain in kime,");
    }

    #[test]
    fn without_copying_unknown_tokens_stay_unknown_and_the_file_is_unchanged() {
        let codec = codec(false);
        let pair = Pair { source: "rain in Kime".into(), target: "rain in Kime".into(), groups: [].into() };
        let encoded = codec.encode(&pair);
        assert_eq!((&encoded.source.copies, encoded.source.unknown.len()), (&None, 0));
        assert_eq!(encoded.target, [3, 2, 1, 4]);
        assert!(!serde_json::to_string(&codec).unwrap().contains("copy"));
        assert!(serde_json::to_string(&super::tests::codec(true)).unwrap().contains(r#""copy":true"#));
    }
}
