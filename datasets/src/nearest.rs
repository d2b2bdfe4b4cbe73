//! Suggestions for misspelled names.

/// The candidate in `known` nearest to `name` in edit distance, ignoring case; `None` if none is close enough.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let distance = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        // Also match a field given without its section.
        let last = candidate.rsplit('.').next().unwrap_or(&candidate);
        strsim::damerau_levenshtein(&name, &candidate).min(strsim::damerau_levenshtein(&name, last))
    };
    let best = known.into_iter().min_by_key(|candidate| distance(candidate))?;
    (distance(best) <= (name.chars().count() / 2).max(1)).then_some(best)
}

/// " (did you mean `…`?)", or an empty string.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |best| format!(" (did you mean `{best}`?)"))
}
