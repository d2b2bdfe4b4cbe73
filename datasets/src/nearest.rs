//! What was meant by a name that does not exist.

/// The name among `known` that is nearest to `name`, if any is near enough to be what was meant; letters of either case count as
/// equal.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let distance = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        // A field named without its section is meant, however far apart the whole names are.
        let last = candidate.rsplit('.').next().unwrap_or(&candidate);
        strsim::damerau_levenshtein(&name, &candidate).min(strsim::damerau_levenshtein(&name, last))
    };
    let best = known.into_iter().min_by_key(|candidate| distance(candidate))?;
    (distance(best) <= 1 + best.chars().count() / 3).then_some(best)
}

/// " (did you mean `…`?)", or nothing.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |best| format!(" (did you mean `{best}`?)"))
}
