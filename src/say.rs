//! Telling people things on standard error; if nobody listens any more, work goes on.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io::Write;

/// A line on standard error. A closed pipe or a full log disk must not end a training.
pub fn say(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A path or another argument as it can be pasted into a shell.
pub fn quoted(argument: impl AsRef<OsStr>) -> String {
    let text = argument.as_ref().to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "_./=-+:,@%".contains(c);
    let bare = !text.is_empty() && text.chars().all(plain);
    if bare { text.into_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// A flag with its value as it can be pasted into a shell, after a blank.
pub fn flag(name: &str, value: impl AsRef<OsStr>) -> String {
    // Behind a blank, what begins with a hyphen would be another flag.
    let joint = if value.as_ref().as_encoded_bytes().starts_with(b"-") { '=' } else { ' ' };
    format!(" {name}{joint}{}", quoted(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_a_shell_would_split_them() {
        let quoted = ["runs/a-1", "my runs/a", "it's", "", "$(id)"].map(quoted);
        assert_eq!(quoted, ["runs/a-1", "'my runs/a'", "'it'\\''s'", "''", "'$(id)'"]);
        assert_eq!(flag("--target", "-x y") + &flag("--time", ""), " --target='-x y' --time ''");
    }
}
