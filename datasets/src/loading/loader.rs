//! Reads the files of data settings: their format, their rows, and what is left out of them.

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::DataError;
use crate::data_spec::{Content, DataSpec, Role};
use crate::formats::Format;
use crate::published::Manifest;
use crate::reading::{Input, Line, Locator, STANDARD_INPUT, is_blank};
use crate::records::{Records, Split};
use crate::settings::{DataSettings, Paths};
use crate::split_rule::SplitRule;
use crate::splitting::{self, Undivided};

/// The first line of a file that is not blank; empty if there is none.
fn first_line(input: &Input) -> Result<String, DataError> {
    let is_blank = |line: &Result<Line, DataError>| line.as_ref().is_ok_and(|line| is_blank(&line.text));
    let first = input.lines()?.find(|line| !is_blank(line)).transpose()?;
    Ok(first.map_or_else(String::new, |line| line.text))
}

/// The fields of the first line of a table, without quotation marks.
fn fields(line: &str, mark: char) -> impl Iterator<Item = &str> {
    line.split(mark).map(|field| field.trim().trim_matches('"'))
}

/// Reads the files of data settings.
pub(super) struct Loader<'a> {
    settings: &'a DataSettings,
    /// Recognized for each location if it is not given.
    format: Option<&'static Format>,
    data_dir: &'a Path,
    spec: &'static DataSpec,
    /// The manifest and the values that override its section.
    published: Option<(&'a Manifest, &'a DataSettings)>,
    locator: Locator<'a>,
    /// What was skipped, for the user.
    pub(super) notes: RefCell<Vec<String>>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(
        settings: &'a DataSettings,
        format: Option<&'static Format>,
        data_dir: &'a Path,
        spec: &'static DataSpec,
        published: Option<(&'a Manifest, &'a DataSettings)>,
    ) -> Self {
        let DataSettings { files, train, validation, test, archives, .. } = settings;
        let locations = [files, train, validation, test].into_iter().flat_map(|Paths(paths)| paths);
        let locator = Locator::new(data_dir, &archives.0, locations.map(PathBuf::as_path).collect());
        Self { settings, format, data_dir, spec, published, locator, notes: RefCell::default() }
    }

    pub(super) fn undivided<'r>(&self, records: &'r Records) -> Undivided<'r>
    where
        'a: 'r,
    {
        let DataSettings { columns, labels, .. } = self.settings;
        Undivided { records, columns, labels, spec: self.spec }
    }

    /// The manifest, if it describes the files of a field.
    fn manifest(&self, field: &str) -> Option<&'a Manifest> {
        let (manifest, own) = self.published?;
        let own = match field {
            "train" => &own.train,
            "validation" => &own.validation,
            "test" => &own.test,
            _ => &own.files,
        };
        own.is_empty().then_some(manifest)
    }

    /// The format of the first file of the `wanted` splits; its default columns apply to all.
    pub(super) fn format(&self, wanted: &[Split]) -> Result<&'static Format, DataError> {
        let first = |split: &Split| Some((*split, self.settings.files_of(*split).0.first()?));
        let (split, path) = wanted.iter().find_map(first).ok_or(DataError::NoFile)?;
        let field = if self.settings.files.is_empty() { split.name() } else { "files" };
        self.format.map_or_else(|| self.recognized(path, &self.found(field, path)?), Ok)
    }

    /// The format of the files at a path.
    fn recognized(&self, path: &Path, inputs: &[Input]) -> Result<&'static Format, DataError> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        let found = Format::recognize(path, inputs, self.spec.default_format);
        let [input] = inputs else { return found };
        let default = self.spec.default_format;
        match found {
            // A table without names of columns.
            Ok(format) if format.name == "csv" && default == Some("pairs") && self.is_without_names(input)? => {
                Format::named("pairs")
            }
            Ok(format) if format.name == "csv" && default == Some("series") && !self.has_columns(input)? => {
                Format::named("series")
            }
            // A table without a name that marks it, such as standard input.
            Ok(format) if Some(format.name) == default && format.name != "text" && self.has_columns(input)? => {
                Format::named("csv")
            }
            Err(_) if self.has_columns(input)? => Format::named("csv"),
            found => found,
        }
    }

    /// Whether a table is one of pairs without column names, as its first line shows.
    fn is_without_names(&self, input: &Input) -> Result<bool, DataError> {
        let roles = || self.spec.roles.iter().map(|role| role.name);
        let are_default = self.settings.columns.names().iter().all(|name| roles().any(|role| role == *name));
        let first = first_line(input)?;
        let names = || fields(&first, '\t');
        Ok(are_default && names().count() > 1 && !names().any(|name| roles().any(|role| role == name)))
    }

    /// Whether the first line of a file has the names of all columns that the task needs, as a table has.
    fn has_columns(&self, input: &Input) -> Result<bool, DataError> {
        let first = first_line(input)?;
        let is_needed = |role: &&Role| role.is_required || !self.settings.columns.several(role.name).is_empty();
        let needed: Vec<&str> = self
            .spec
            .roles
            .iter()
            .filter(is_needed)
            .map(|role| self.settings.columns.several(role.name).first().map_or(role.name, String::as_str))
            .collect();
        let has = |mark: char| {
            fields(&first, mark).count() > 1
                && needed.iter().all(|name| fields(&first, mark).any(|field| field == *name))
        };
        Ok([',', '\t', ';'].into_iter().any(has))
    }

    /// The files, without those outside of the folders of classes.
    fn in_class_folders(&self, format: &Format, path: &Path, inputs: Vec<Input>) -> Vec<Input> {
        let is_outside = |input: &Input| path.file_name().is_some_and(|name| name == input.folder_and_file().0);
        let outside: Vec<&Input> = inputs.iter().filter(|input| is_outside(input)).collect();
        if format.name != "class-folders" || outside.len() == inputs.len() {
            return inputs;
        }
        self.note_skipped("outside of the folders of classes", &outside);
        inputs.into_iter().filter(|input| !is_outside(input)).collect()
    }

    /// The files of a folder or archive, without those about the others, such as README.md.
    fn without_documents(&self, inputs: Vec<Input>) -> Vec<Input> {
        let (documents, data): (Vec<Input>, Vec<Input>) = inputs.into_iter().partition(Input::is_document);
        if data.is_empty() {
            return documents;
        }
        self.note_skipped("named like documentation", &documents.iter().collect::<Vec<_>>());
        data
    }

    /// Refuses to train on the only file of labeled texts, if others were skipped that might be those of further labels.
    fn check_skipped(&self, field: &str, format: &Format, path: &Path, inputs: &[Input]) -> Result<(), DataError> {
        let ([only], "class-files", "files" | "train") = (inputs, format.name, field) else { return Ok(()) };
        if self.settings.files.0.len() + self.settings.train.0.len() > 1 {
            return Ok(());
        }
        let found = self.locator.find(path, false)?.unwrap_or_default();
        let skipped: Vec<&str> =
            found.iter().filter(|input| input.is_document()).map(|input| input.folder_and_file().1).collect();
        if skipped.is_empty() || found.len() == skipped.len() {
            return Ok(());
        }
        let file = only.folder_and_file().1;
        let detail = format!(
            "{file} is the only file, so that all texts would have one label; named like documentation and skipped: {}; rename the files of \
             labels, or add some",
            skipped.join(", ")
        );
        Err(DataError::invalid(path, detail))
    }

    /// Notes files that are skipped, if there are any; `which` says which ones.
    fn note_skipped(&self, which: &str, files: &[&Input]) {
        let Some(first) = files.first() else { return };
        let (noun, were) = if files.len() == 1 { ("file", "was") } else { ("files", "were") };
        let (count, first) = (files.len(), first.name().display());
        self.notes.borrow_mut().push(format!("{count} {noun} {which} {were} skipped; first: {first}"));
    }

    /// The files at a path; none if the test split of a published dataset is missing, as in many copies.
    fn found(&self, field: &str, path: &Path) -> Result<Vec<Input>, DataError> {
        let manifest = self.manifest(field);
        match (self.locator.find(path, manifest.is_some())?, manifest) {
            (Some(inputs), None) => Ok(self.without_documents(inputs)),
            (Some(inputs), Some(_)) => Ok(inputs),
            (None, Some(_)) if field == "test" => Ok(Vec::new()),
            (None, Some(manifest)) => Err(manifest.missing(self.data_dir, path)),
            (None, None) => Err(absent(&self.data_dir.join(path), &self.settings.archives)),
        }
    }

    /// The cleaned records of all files of a field.
    pub(super) fn read(&self, field: &str, Paths(paths): &Paths) -> Result<Records, DataError> {
        let manifest = self.manifest(field);
        let mut names = self.settings.columns.names();
        names.extend(self.settings.split.as_ref().and_then(SplitRule::column));
        let mut found: Vec<(&Format, Vec<Input>)> = Vec::new();
        let mut several: Vec<(PathBuf, PathBuf)> = Vec::new();
        for path in paths {
            let inputs = self.found(field, path)?;
            if inputs.is_empty() {
                continue;
            }
            let format = self.recognized(path, &inputs)?;
            let inputs = self.in_class_folders(format, path, inputs);
            self.check_skipped(field, format, path, &inputs)?;
            if inputs.len() > 1 && manifest.is_none() && path != Path::new(STANDARD_INPUT) {
                several.extend(inputs.iter().map(|input| (input.name().to_owned(), input.location(path))));
            }
            match found.last_mut() {
                Some((last, all)) if std::ptr::eq(*last, format) => all.extend(inputs),
                _ => found.push((format, inputs)),
            }
        }
        let mut records = Records::default();
        let mut empty: Vec<(DataError, &Input)> = Vec::new();
        for (format, inputs) in &found {
            for inputs in format.together(inputs) {
                let is_one_of_several = several.iter().any(|(name, _)| name == inputs[0].name());
                let read = match format.read_together(inputs, &self.settings.options, &names) {
                    Err(error @ DataError::Empty { .. }) if is_one_of_several => {
                        empty.push((error, &inputs[0]));
                        continue;
                    }
                    read => read,
                };
                let added = read.and_then(|more| records.append(more, &names));
                added.map_err(|error| with_way_out(error, &several))?;
            }
        }
        self.note_skipped("without text or notes", &empty.iter().map(|(_, input)| *input).collect::<Vec<_>>());
        if let (true, Some((error, _))) = (records.is_empty(), empty.into_iter().next()) {
            return Err(error);
        }
        if let (Some(rows), Some(file)) = (self.settings.rows, records.file())
            && records.len() != rows
        {
            let found = records.len();
            return Err(match manifest {
                Some(_) => DataError::damaged(file, format!("{found} of {rows} rows")),
                None => {
                    let expected = format!("{} has {found} rows; correct the number or remove it", file.display());
                    DataError::setting("data.rows", rows, expected)
                }
            });
        }
        if let (true, Some(file)) = (field != "files" && records.is_empty(), records.file()) {
            return Err(DataError::invalid(file, format!("no rows for data.{field}")));
        }
        self.clean(&mut records);
        self.note_several_labels(&records);
        let records = self.with_labels(records)?;
        match self.settings.distinct {
            Some(true) => splitting::distinct(&self.undivided(&records)),
            _ => Ok(records),
        }
    }

    /// Cleans the columns of texts and tokens, after splitting texts where a task needs lists.
    fn clean(&self, records: &mut Records) {
        let DataSettings { columns, cleaning, .. } = self.settings;
        for (role, column) in self.spec.single(columns) {
            if matches!(role.content, Content::Tokens | Content::Tags) {
                records.split_words(column);
            }
        }
        let cleaning = cleaning.clone().unwrap_or_default();
        let changed = |text: &str, cleaned: &str| (text != cleaned).then(|| cleaned.to_owned());
        for (role, column) in self.spec.single(columns) {
            match role.content {
                Content::Text => records.map_texts(column, |text| changed(text, &cleaning.apply(text))),
                Content::Tokens => records.map_texts(column, |token| changed(token, &cleaning.apply_to_token(token))),
                // A no-break space at the end of a line is of no tag.
                Content::Tags => records.map_texts(column, |tag| changed(tag, tag.trim())),
                Content::Label | Content::Time | Content::Other | Content::Several => {}
            }
        }
    }

    /// With `distinct`, the splits without rows that an earlier one has; with `disjoint`, without rows that share a text with an earlier one.
    pub(super) fn disjoint(&self, splits: [Records; 3]) -> Result<[Records; 3], DataError> {
        let (mut rows, mut texts) = (HashSet::new(), HashSet::new());
        let [mut train, mut validation, mut test] = splits;
        for (name, split) in [("training", &mut train), ("validation", &mut validation), ("test", &mut test)] {
            let mut keep =
                |is_set: Option<bool>,
                 shared: &str,
                 new: &mut dyn FnMut(&Undivided) -> Result<Vec<usize>, DataError>| {
                    if is_set != Some(true) {
                        return Ok(());
                    }
                    let new = new(&self.undivided(split))?;
                    let left_out = split.len() - new.len();
                    if left_out > 0 {
                        let rows = if left_out == 1 { "row is" } else { "rows are" };
                        let note = format!(
                            "{left_out} {rows} left out of the {name} split, since an earlier split has {shared}"
                        );
                        self.notes.borrow_mut().push(note);
                    }
                    *split = split.select(&new);
                    Ok::<_, DataError>(())
                };
            keep(self.settings.distinct, "the same", &mut |split| splitting::unseen(split, &mut rows))?;
            keep(self.settings.disjoint, "one of their texts", &mut |split| {
                splitting::unseen_texts(split, &mut texts)
            })?;
        }
        Ok([train, validation, test])
    }

    /// Notes texts of which only the first of several labels is read.
    fn note_several_labels(&self, records: &Records) {
        let label = self.spec.single(&self.settings.columns).find(|(role, _)| role.content == Content::Label);
        let (Some((_, "label")), Ok(lists)) = (label, records.lists("labels", "labels")) else { return };
        let several = lists.iter().filter(|labels| labels.len() > 1).count();
        if several > 0 {
            let texts = if several == 1 { "text has" } else { "texts have" };
            let note = format!("{several} {texts} several labels, of which the first is read; `multi-label` reads all");
            self.notes.borrow_mut().push(note);
        }
    }

    /// The records without those that lack their label.
    fn with_labels(&self, records: Records) -> Result<Records, DataError> {
        let label = self.spec.single(&self.settings.columns).find(|(role, _)| role.content == Content::Label);
        let Some((role, name)) = label.filter(|_| !records.is_empty()) else { return Ok(records) };
        let labels = records.texts(role.name, name)?;
        let (labeled, missing): (Vec<usize>, Vec<usize>) =
            (0..records.len()).partition(|&row| !labels[row].trim().is_empty());
        let Some(&first) = missing.first() else { return Ok(records) };
        let (rows, were) = if missing.len() == 1 { ("row", "was") } else { ("rows", "were") };
        let place = records.place_name(first).map_or_else(String::new, |place| format!("; first: {place}"));
        let note = format!("{} {rows} without a label {were} skipped{place}", missing.len());
        self.notes.borrow_mut().push(note);
        Ok(records.select(&labeled))
    }
}

/// An error in one of `several` files that were found in a folder or archive, given by their names and locations; says how to read one alone.
fn with_way_out(error: DataError, several: &[(PathBuf, PathBuf)]) -> DataError {
    let is_of = |(name, _): &&(PathBuf, PathBuf)| error.path() == Some(name.as_path());
    let Some((wrong, _)) = several.iter().find(is_of) else { return error };
    let Some((_, other)) = several.iter().find(|(name, _)| name != wrong) else { return error };
    let way_out = format!(
        "; all files of a folder or an archive are read: to read only one, name it, such as {}",
        other.display()
    );
    error.followed_by(&way_out)
}

/// The error for a location without files, which no archive contains either.
fn absent(path: &Path, archives: &Paths) -> DataError {
    if path.ancestors().skip(1).any(Path::is_file) {
        return DataError::invalid(path, "the archive has no such file");
    }
    match path.metadata() {
        Ok(_) => DataError::invalid(path, "the folder has no files"),
        Err(_) if !archives.is_empty() => {
            let detail = format!("not found, neither as a file nor in data.archives ({})", archives.list());
            DataError::invalid(path, detail)
        }
        Err(error) => DataError::unreadable(path, error),
    }
}
