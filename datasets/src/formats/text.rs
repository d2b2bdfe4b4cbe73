//! Running text: a file is one row.

use super::{Format, Request, Together};
use crate::DataError;
use crate::reading::is_blank;
use crate::records::{Column, Records};

/// The format.
pub(super) static FORMAT: Format = Format {
    name: "text",
    summary: "running text, the whole file as one row",
    columns: "text",
    options: &[],
    suffixes: &[],
    together: Together::File,
    roles: &[],
    sample: &[("tale.txt", "Once upon a time\nthere was a king.\n")],
    is_first_line: |_| false,
    read,
};

fn read(request: &Request) -> Result<Records, DataError> {
    let name = request.input.name();
    let text = request.input.text()?;
    if is_blank(&text) {
        return Err(DataError::empty(name, "empty; expected text"));
    }
    Ok(Records::of_file(name, [("text", Column::text([text]))], [1]))
}
