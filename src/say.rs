//! Messages on standard error, numbers for people, and shell quoting.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether messages are muted.
static MUTED: AtomicBool = AtomicBool::new(false);

/// Prints a line on standard error, unless muted. Errors are ignored: a closed pipe or a full disk must not end a training run.
pub fn say(text: impl Display) {
    if !is_muted() {
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

/// Runs a part of a command whose messages are not printed.
pub fn muted<T>(run: impl FnOnce() -> T) -> T {
    MUTED.store(true, Ordering::Relaxed);
    let result = run();
    MUTED.store(false, Ordering::Relaxed);
    result
}

/// Whether messages are muted, and progress bars hidden.
pub fn is_muted() -> bool {
    MUTED.load(Ordering::Relaxed)
}

/// A number for people: four decimals, or four significant digits where these would hide the value or fill the line.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || !value.is_finite() || (1e-3..1e9).contains(&size) {
        // Without the sign of a negative zero.
        format!("{:.4}", value + 0.0)
    } else {
        format!("{value:.3e}")
    }
}

/// A probability as a percentage, without the rounding errors of binary fractions.
pub fn percent(probability: f64) -> String {
    format!("{} %", (probability * 1e12).round() / 1e10)
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
    fn numbers_of_any_size_are_readable() {
        for (value, printed) in [
            (0.86, "0.8600"),
            (-0.0, "0.0000"),
            (2.5e-5, "2.500e-5"),
            (-1.25e37, "-1.250e37"),
            (123_456_789.0, "123456789.0000"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(number(value), printed);
        }
        assert_eq!([0.05, 0.3, 1e-9, 0.995].map(percent), ["5 %", "30 %", "0.0000001 %", "99.5 %"]);
    }

    #[test]
    fn paths_are_quoted_where_a_shell_would_split_them() {
        let quoted = ["runs/a-1", "my runs/a", "it's", "", "$(id)"].map(quoted);
        assert_eq!(quoted, ["runs/a-1", "'my runs/a'", "'it'\\''s'", "''", "'$(id)'"]);
        assert_eq!(flag("--target", "-x y") + &flag("--time", ""), " --target='-x y' --time ''");
    }
}
