//! Wording of messages.

/// A number and what it counts, given in the plural: `1 text`, `2 texts`.
///
/// ```
/// use seqzoo_datasets::wording::counted;
///
/// assert_eq!([counted(0, "texts"), counted(1, "texts"), counted(1, "series")], ["0 texts", "1 text", "1 series"]);
/// ```
pub fn counted(count: usize, plural: &str) -> String {
    let singular = plural.strip_suffix('s').filter(|_| count == 1 && plural != "series");
    format!("{count} {}", singular.unwrap_or(plural))
}

/// Items of a list: `a`, `a and b`, `a, b and c`.
///
/// ```
/// use seqzoo_datasets::wording::and;
///
/// assert_eq!([and(&["a"]), and(&["a", "b"]), and(&["a", "b", "c"])], ["a", "a and b", "a, b and c"]);
/// ```
pub fn and(items: &[&str]) -> String {
    match items {
        [] => String::new(),
        [item] => (*item).to_owned(),
        [items @ .., last] => format!("{} and {last}", items.join(", ")),
    }
}
