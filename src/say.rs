//! Messages on standard error, and shell quoting.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io::Write;

/// Prints a line on standard error. Errors are ignored: a closed pipe or a full disk must not end a training run.
pub fn say(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Quotes a path or another argument for a shell.
pub fn quoted(argument: impl AsRef<OsStr>) -> String {
    let text = argument.as_ref().to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "_./=-+:,@%".contains(c);
    let bare = !text.is_empty() && text.chars().all(plain);
    if bare { text.into_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// A space, a flag and its value, quoted for a shell.
pub fn flag(name: &str, value: impl AsRef<OsStr>) -> String {
    // After a space, a value that begins with a hyphen would be parsed as another flag.
    let separator = if value.as_ref().as_encoded_bytes().starts_with(b"-") { '=' } else { ' ' };
    format!(" {name}{separator}{}", quoted(value))
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
