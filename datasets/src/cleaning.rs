//! Text cleaning before tokenization.
//!
//! The steps are saved by name with the codec of a model, so that prediction cleans texts with them, too.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::reading::BYTE_ORDER_MARK;

/// A cleaning step; idempotent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CleaningStep {
    /// Removes U+FEFF.
    ByteOrderMarks,
    /// Replaces each `<br />` by a space.
    HtmlLineBreaks,
    /// Applies Unicode normalization form C (composed characters).
    Nfc,
    /// Removes leading and trailing whitespace.
    Trim,
    /// Replaces uppercase letters by lowercase ones.
    Lowercase,
}

/// A sequence of cleaning steps.
///
/// The default removes byte-order marks and applies NFC.
///
/// ```
/// use seqzoo_datasets::cleaning::{Cleaning, CleaningStep};
/// let cleaning = Cleaning::default().with(CleaningStep::Trim);
/// assert_eq!(cleaning.apply("\u{feff} Zoe\u{308} "), "Zoë");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cleaning(Vec<CleaningStep>);

impl Default for Cleaning {
    fn default() -> Self {
        Self(vec![CleaningStep::ByteOrderMarks, CleaningStep::Nfc])
    }
}

impl Cleaning {
    /// No steps, as for encoders saved before cleaning was introduced.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Appends a step.
    pub fn with(mut self, step: CleaningStep) -> Self {
        self.0.push(step);
        self
    }

    /// Applies every step to a text.
    pub fn apply<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.0.iter().fold(Cow::Borrowed(text), |text, step| match step.apply(&text) {
            Some(changed) => Cow::Owned(changed),
            None => text,
        })
    }

    /// Applies every step to a token; returns it unchanged if nothing would remain.
    pub fn apply_to_token<'a>(&self, token: &'a str) -> Cow<'a, str> {
        Some(self.apply(token)).filter(|cleaned| !cleaned.is_empty()).unwrap_or(Cow::Borrowed(token))
    }
}

impl CleaningStep {
    /// The text after this step; `None` if unchanged.
    fn apply(self, text: &str) -> Option<String> {
        const BREAK: &str = "<br />";
        match self {
            CleaningStep::ByteOrderMarks => text.contains(BYTE_ORDER_MARK).then(|| text.replace(BYTE_ORDER_MARK, "")),
            // Removing one may create another: `<br<br />/>`.
            CleaningStep::HtmlLineBreaks => text.contains(BREAK).then(|| {
                let text = text.replace(BREAK, " ");
                self.apply(&text).unwrap_or(text)
            }),
            CleaningStep::Nfc => (!is_nfc(text)).then(|| text.nfc().collect()),
            CleaningStep::Trim => Some(text.trim()).filter(|trimmed| trimmed.len() < text.len()).map(str::to_owned),
            CleaningStep::Lowercase => Some(text.to_lowercase()).filter(|lower| lower != text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all() -> Cleaning {
        Cleaning::default().with(CleaningStep::HtmlLineBreaks).with(CleaningStep::Trim)
    }

    #[test]
    fn steps_change_only_their_targets() {
        for (text, cleaned) in [
            ("plain <br> text", "plain <br> text"),
            ("\u{feff}a\u{feff}b", "ab"),
            ("One.<br /><br />Two.", "One.  Two."),
            ("<br /> \t one\u{a0}", "one"),
            ("<br<br />/>one", "one"),
            // e followed by U+0301; U+212B is the angstrom sign.
            ("cafe\u{301} \u{212b}", "café Å"),
        ] {
            assert_eq!(all().apply(text), cleaned);
        }
        assert_eq!(Cleaning::none().with(CleaningStep::Lowercase).apply("An ÄRA, 3"), "an ära, 3");
        assert_eq!(Cleaning::none().apply("\u{feff} e\u{301}<br />"), "\u{feff} e\u{301}<br />");
        assert_eq!(Cleaning::default().apply_to_token("\u{feff}"), "\u{feff}", "a token is never empty");
    }

    #[test]
    fn steps_are_saved_by_name() {
        let json = serde_json::to_string(&all()).unwrap();
        assert_eq!(json, r#"["byte-order-marks","nfc","html-line-breaks","trim"]"#);
        assert_eq!(serde_json::from_str::<Cleaning>(&json).unwrap(), all());
        assert!(serde_json::from_str::<Cleaning>(r#"["rot13"]"#).is_err());
    }

    proptest! {
        #[test]
        fn cleaning_is_idempotent(text in "([ae\u{301}\u{308}\u{feff} \t]|<br />|<br|/>|.){0,12}") {
            let once = all().apply(&text).into_owned();
            prop_assert_eq!(&*all().apply(&once), &once);
        }
    }
}
