//! Telling people things on standard error; if nobody listens any more, work goes on.

use std::fmt::Display;
use std::io::Write;
use std::path::Path;

/// A line on standard error. A closed pipe or a full log disk must not end a training.
pub fn say(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A path as it can be pasted into a shell.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "_./=-+:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_a_shell_would_split_them() {
        let quoted = ["runs/a-1", "my runs/a", "it's"].map(|path| quoted(Path::new(path)));
        assert_eq!(quoted, ["runs/a-1", "'my runs/a'", "'it'\\''s'"]);
    }
}
