//! Timestamp formats, and the time step of a series.
//!
//! Timestamps of digits only (`20240131`, `202401`, `202452`, `2024031`, `2024013113`) may be dates or plain numbers. They are dates if
//! every value of the column is a date and the steps are equal, else numbers; six digits with a year of two digits (`240131`) are dates
//! only if they have no equal steps as numbers. The same rule determines whether six digits are months or weeks. Weeks are ISO 8601 weeks
//! (`202452`, `2024-W52`), unless only the epidemiological weeks of the CDC (Sunday to Saturday) fit the column: the two systems have
//! week 53 in different years.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

mod formats;

use formats::{COMPACT, Format};

/// The time step between consecutive rows of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeStep {
    /// This many months, at the same offset from the start of the month.
    Months(i64),
    /// This many months, at the same offset from the end of the month, such as its last day.
    MonthEnds(i64),
    /// This many ISO 8601 weeks, for timestamps of year and week number.
    Weeks(i64),
    /// This many epidemiological weeks, for timestamps of year and week number.
    EpiWeeks(i64),
    /// This many seconds.
    Seconds(i64),
    /// This difference, for timestamps that are integers.
    Count(i64),
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;

/// The row of an error, and the message.
type AtRow = (usize, String);

impl TimeStep {
    /// The step between all consecutive `times`, at least two; up to `missing` steps may be missing between them.
    ///
    /// # Errors
    /// The row of the first timestamp that is invalid, out of order or not one step after the previous one, and a message; `line`
    /// maps rows to line numbers.
    pub(crate) fn between(times: &[String], missing: usize, line: impl Fn(usize) -> usize) -> Result<Self, AtRow> {
        let formats = Format::all(&times[0]);
        let mut candidates: Vec<(Format, Result<Self, AtRow>)> =
            formats.into_iter().map(|format| (format, format.step(times, missing, &line))).collect();
        let fits = |wanted: fn(&Format) -> bool| candidates.iter().any(|(format, step)| wanted(format) && step.is_ok());
        if fits(|format| *format == Format::Date(COMPACT, 6)) && fits(|format| matches!(format, Format::Week(..))) {
            let [first, last] = [&times[0], &times[times.len() - 1]];
            let detail = format!(
                "`{first}` to `{last}` could be months or weeks; write them as `2024-01` or `2024-W01`, {INSTEAD}"
            );
            return Err((0, detail));
        }
        let is_date = |time: &&String| Format::Date(COMPACT, 8).parse(time).is_some();
        let dates = times.iter().filter(is_date).count();
        if let Some(index) = candidates.iter().position(|(_, step)| step.is_ok()) {
            // If all but a few whole numbers are dates, the others are mistaken dates.
            let mistaken = candidates[index].0 == Format::Number && 10 * dates >= 9 * times.len();
            let date = candidates.iter().position(|(format, _)| *format == Format::Date(COMPACT, 8));
            return candidates.swap_remove(date.filter(|_| mistaken).unwrap_or(index)).1;
        }
        // No format fits: report the error of the format that parses most rows. Numbers count less, since any digits are a number.
        let parsed = |format: Format| {
            let rows = times.iter().filter(|time| format.parse(time).is_some()).count();
            if format == Format::Number { rows * 9 / 10 } else { rows }
        };
        let best = candidates.into_iter().rev().max_by_key(|&(format, _)| parsed(format));
        best.map_or_else(
            || Err((0, format!("{} is not a timestamp: expected {}, {INSTEAD}", quoted(&times[0]), Format::FORMS))),
            |(_, step)| step,
        )
    }

    /// Whether consecutive `times` are one step apart.
    pub(crate) fn separates(self, times: &[String]) -> bool {
        let Some(format) = times.first().and_then(|time| self.format(time)) else { return false };
        let timestamps: Option<Vec<i64>> = times.iter().map(|time| format.parse(time)).collect();
        timestamps.is_some_and(|timestamps| timestamps.windows(2).all(|pair| self.after(pair[0], 1) == Some(pair[1])))
    }

    /// The format of a timestamp, among those that can have this step.
    fn format(self, time: &str) -> Option<Format> {
        Format::all(time).into_iter().find(|format| format.suits(self))
    }

    /// Months if most timestamps have the same offset from the start, or the end, of their month as the first one; else seconds.
    fn of_calendar(timestamps: &[i64]) -> Self {
        let aligned = |unit: &Self| {
            let offset = |&timestamp: &i64| unit.index_and_offset(timestamp).map(|(_, offset)| offset);
            timestamps.iter().filter(|timestamp| offset(timestamp) == offset(&timestamps[0])).count()
        };
        let months = [Self::MonthEnds(1), Self::Months(1)].into_iter().max_by_key(aligned);
        months.filter(|unit| 2 * aligned(unit) > timestamps.len()).unwrap_or(Self::Seconds(1))
    }

    /// The most frequent multiple of this unit between consecutive timestamps, if it holds for all of them but `missing` steps.
    fn repeated(self, times: &[String], timestamps: &[i64], missing: usize) -> Result<Self, AtRow> {
        let units: Vec<_> = timestamps.iter().map(|&timestamp| self.index_and_offset(timestamp)).collect();
        let difference = |row: usize| match (units[row - 1], units[row]) {
            (Some((before, offset)), Some((index, same))) if offset == same => Some(index - before),
            _ => None,
        };
        let mut counts: HashMap<i64, usize> = HashMap::new();
        (1..times.len()).filter_map(difference).for_each(|size| *counts.entry(size).or_default() += 1);
        let size = counts.into_iter().max_by_key(|&(size, count)| (count, -size)).map_or(1, |(size, _)| size);
        let step = self.of_size(size);
        let mut gaps: i64 = 0;
        let is_wrong = |&row: &usize| match difference(row) {
            Some(found) if found >= size && found % size == 0 => {
                gaps = gaps.saturating_add(found / size - 1);
                usize::try_from(gaps).is_ok_and(|gaps| gaps > missing)
            }
            _ => true,
        };
        let Some(row) = (1..times.len()).find(is_wrong) else { return Ok(step) };
        let [before, time] = [&times[row - 1], &times[row]];
        Err(match difference(row) {
            Some(found) if found % size == 0 => {
                let missing = match found / size - 1 {
                    1 => "1 step is missing".to_owned(),
                    missing => format!("{missing} steps are missing"),
                };
                let detail = format!("{missing} between `{before}` and `{time}`, at a step of {step}");
                let gap = |found: i64| if found >= size && found % size == 0 { found / size - 1 } else { 0 };
                let total: i64 = (1..times.len()).filter_map(difference).map(gap).sum();
                let allow = format!("allow them with data.missing_steps = {total}, their total number");
                (row, format!("{detail}; fill them in, {allow}, {INSTEAD}"))
            }
            _ => (row, format!("`{time}` is not {step} after `{before}`; correct it, {INSTEAD}")),
        })
    }

    /// The number of units.
    fn size(self) -> i64 {
        match self {
            Self::Months(size) | Self::MonthEnds(size) | Self::Weeks(size) | Self::EpiWeeks(size) => size,
            Self::Seconds(size) | Self::Count(size) => size,
        }
    }

    /// A step of `size` of the same unit.
    fn of_size(self, size: i64) -> Self {
        match self {
            Self::Months(_) => Self::Months(size),
            Self::MonthEnds(_) => Self::MonthEnds(size),
            Self::Weeks(_) => Self::Weeks(size),
            Self::EpiWeeks(_) => Self::EpiWeeks(size),
            Self::Seconds(_) => Self::Seconds(size),
            Self::Count(_) => Self::Count(size),
        }
    }

    /// The index of the unit that contains a timestamp, and the offset of the timestamp from the start of the unit.
    fn index_and_offset(self, timestamp: i64) -> Option<(i64, i64)> {
        match self {
            Self::Months(_) | Self::MonthEnds(_) => {
                let date = DateTime::from_timestamp(timestamp, 0)?;
                let month = 12 * i64::from(date.year()) + i64::from(date.month0());
                Some((month, timestamp - start_of_month(month + self.months_ahead())?))
            }
            Self::Weeks(_) | Self::EpiWeeks(_) => Some((timestamp.div_euclid(WEEK), timestamp.rem_euclid(WEEK))),
            Self::Seconds(_) | Self::Count(_) => Some((timestamp, 0)),
        }
    }

    /// The timestamp `k` steps after another.
    fn after(self, timestamp: i64, k: usize) -> Option<i64> {
        let (index, offset) = self.index_and_offset(timestamp)?;
        let index = index.checked_add(self.size().checked_mul(i64::try_from(k).ok()?)?)?;
        match self {
            Self::Months(_) | Self::MonthEnds(_) => {
                Some(start_of_month(index.checked_add(self.months_ahead())?)? + offset)
            }
            Self::Weeks(_) | Self::EpiWeeks(_) => index.checked_mul(WEEK)?.checked_add(offset),
            Self::Seconds(_) | Self::Count(_) => Some(index),
        }
    }

    /// The month from whose start offsets are measured, relative to the month of the timestamp.
    fn months_ahead(self) -> i64 {
        i64::from(matches!(self, Self::MonthEnds(_)))
    }

    /// The timestamp `k` steps after `time`, in the same format; `None` if `time` is not a timestamp with such a step, or the result
    /// is out of range.
    pub fn next(self, time: &str, k: usize) -> Option<String> {
        let format = self.format(time)?;
        format.format(self.after(format.parse(time)?, k)?)
    }

    /// Number of steps from the start of 1970, or from 0, to a timestamp; `None` if it is not a timestamp. It does not depend on where
    /// a table starts.
    pub fn number(self, time: &str) -> Option<i64> {
        let (index, _) = self.index_and_offset(self.format(time)?.parse(time)?)?;
        let start = if matches!(self, Self::Months(_) | Self::MonthEnds(_)) { 12 * 1970 } else { 0 };
        Some((index - start).div_euclid(self.size()))
    }

    /// Default season: steps per year for months, steps per day for shorter steps; `None` otherwise.
    pub fn season(self) -> Option<usize> {
        let (size, whole) = match self {
            Self::Months(size) | Self::MonthEnds(size) => (size, 12),
            Self::Seconds(size) => (size, DAY),
            Self::Weeks(_) | Self::EpiWeeks(_) | Self::Count(_) => return None,
        };
        (size < whole && whole % size == 0).then_some((whole / size) as usize)
    }
}

/// "1 month", "6 hours", "7 days", "2 epidemiological weeks", "10".
impl fmt::Display for TimeStep {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (count, unit) = match *self {
            Self::Months(count) | Self::MonthEnds(count) => (count, "month"),
            Self::Weeks(count) => (count, "week"),
            Self::EpiWeeks(count) => (count, "epidemiological week"),
            Self::Seconds(count) => {
                let units = [(DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")];
                let unit = units.into_iter().find(|(size, _)| count % size == 0);
                unit.map_or((count, "second"), |(size, unit)| (count / size, unit))
            }
            Self::Count(count) => return write!(f, "{count}"),
        };
        write!(f, "{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}

/// The rows whose timestamp is earlier than that of the row before, in the format that most timestamps have; none if they have no format.
pub(crate) fn steps_back(times: &[String]) -> Vec<usize> {
    let Some(first) = times.first() else { return Vec::new() };
    let parse = |format: Format| times.iter().map(|time| format.parse(time)).collect::<Vec<_>>();
    let all = Format::all(first).into_iter().map(parse);
    let known = |timestamps: &Vec<Option<i64>>| timestamps.iter().flatten().count();
    let Some(timestamps) = all.max_by_key(known) else { return Vec::new() };
    let is_earlier =
        |&row: &usize| timestamps[row].zip(timestamps[row - 1]).is_some_and(|(time, before)| time < before);
    (1..times.len()).filter(is_earlier).collect()
}

/// Numbers in the order of `times`: the times themselves if they are numbers, else timestamps in a format of the first one.
///
/// # Errors
/// The first row that has neither.
pub(crate) fn numbers(times: &[Arc<str>]) -> Result<Vec<f64>, usize> {
    let number = |time: &Arc<str>| time.parse().ok().filter(|number: &f64| number.is_finite());
    let parse = |format: Format| -> Vec<Option<f64>> {
        times.iter().map(|time| format.parse(time).map(|timestamp| timestamp as f64)).collect()
    };
    let formats = times.first().map_or_else(Vec::new, |first| Format::all(first));
    let all = formats.into_iter().map(parse).chain([times.iter().map(number).collect()]);
    let known = |values: &Vec<Option<f64>>| values.iter().flatten().count();
    let values = all.max_by_key(known).unwrap_or_default();
    values.into_iter().enumerate().map(|(row, value)| value.ok_or(row)).collect()
}

/// The alternative offered if timestamps have no equal steps.
const INSTEAD: &str = "or leave out the column of timestamps to number the rows";

/// Quotes text of a file in messages, truncated to 40 characters.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

fn start_of_month(month: i64) -> Option<i64> {
    let year = i32::try_from(month.div_euclid(12)).ok()?;
    let day = NaiveDate::from_ymd_opt(year, month.rem_euclid(12) as u32 + 1, 1)?;
    Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp())
}

fn in_order(times: &[String], timestamps: &[i64], line: &impl Fn(usize) -> usize) -> Result<(), AtRow> {
    let Some(row) = (1..timestamps.len()).find(|&row| timestamps[row] <= timestamps[row - 1]) else { return Ok(()) };
    let detail = match timestamps[..row].iter().position(|&timestamp| timestamp == timestamps[row]) {
        Some(duplicate) => format!("`{}` repeats line {}; remove one of the two", times[row], line(duplicate)),
        None => {
            format!("`{}` follows `{}` on line {}", times[row], times[row - 1], line(row - 1))
                + ", which is later; sort the rows by time"
        }
    };
    Err((row, format!("{detail}, {INSTEAD}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn between(times: &[&str]) -> Result<TimeStep, (usize, String)> {
        let times: Vec<String> = times.iter().map(|&time| time.to_owned()).collect();
        TimeStep::between(&times, 0, |row| row + 2)
    }

    #[test]
    fn steps_are_inferred_from_timestamps() {
        for (times, step, name, season) in [
            (["1949-11", "1949-12", "1950-01"], TimeStep::Months(1), "1 month", Some(12)),
            (["1999-10-01", "2000-01-01", "2000-04-01"], TimeStep::Months(3), "3 months", Some(4)),
            (["2024-01-31", "2024-02-29", "2024-03-31"], TimeStep::MonthEnds(1), "1 month", Some(12)),
            (["2021-06-30", "2022-06-30", "2023-06-30"], TimeStep::Months(12), "12 months", None),
            (["2024-02-28", "2024-02-29", "2024-03-01"], TimeStep::Seconds(DAY), "1 day", None),
            (["2024-01-01", "2024-01-29", "2024-02-26"], TimeStep::Seconds(28 * DAY), "28 days", None),
            (["2024-02-28 22:00", "2024-02-28 23:00", "2024-02-29 00:00"], TimeStep::Seconds(HOUR), "1 hour", Some(24)),
            (
                ["1969-12-31T23:59:50", "1970-01-01T00:00:00", "1970-01-01T00:00:10"],
                TimeStep::Seconds(10),
                "10 seconds",
                Some(8640),
            ),
            (["-5", "0", "5"], TimeStep::Count(5), "5", None),
            (["1980", "1981", "1982"], TimeStep::Count(1), "1", None),
        ] {
            assert_eq!(between(&times), Ok(step));
            assert_eq!((&*step.to_string(), step.season()), (name, season));
            assert_eq!(step.next(times[0], 2).as_deref(), Some(times[2]));
        }
    }

    #[test]
    fn step_numbers_do_not_depend_on_the_first_row() {
        let number = |step: TimeStep, time: &str| step.number(time).unwrap();
        assert_eq!(number(TimeStep::Months(1), "1970-01"), 0);
        assert_eq!([number(TimeStep::Months(3), "1970-07"), number(TimeStep::MonthEnds(1), "1969-12-31")], [2, -1]);
        assert_eq!(
            [number(TimeStep::Seconds(3600), "1970-01-02 05:30"), number(TimeStep::Seconds(DAY), "1969-12-31")],
            [29, -1]
        );
        assert_eq!((number(TimeStep::Count(10), "40"), TimeStep::Count(1).number("noon")), (4, None));
        for (step, time) in
            [(TimeStep::Months(2), "2024-05"), (TimeStep::Seconds(900), "2024-02-29 23:45"), (TimeStep::Count(7), "21")]
        {
            let later = step.next(time, 30).unwrap();
            assert_eq!(number(step, &later) - number(step, time), 30);
        }
    }

    /// A column of `rows` timestamps from `first` on.
    fn column(first: &str, step: TimeStep, rows: usize) -> Vec<String> {
        (0..rows).map(|k| step.next(first, k).unwrap()).collect()
    }

    #[test]
    fn digits_are_dates_if_the_whole_column_is() {
        for (first, step, rows, last, next) in [
            ("20240101", TimeStep::Seconds(DAY), 31, "20240131", "20240201"),
            ("20231231", TimeStep::MonthEnds(1), 30, "20260531", "20260630"),
            ("20240115", TimeStep::Months(3), 30, "20310415", "20310715"),
            ("199001", TimeStep::Months(1), 36, "199212", "199301"),
            ("199003", TimeStep::Months(3), 30, "199706", "199709"),
            ("202401", TimeStep::Weeks(1), 52, "202452", "202501"),
            // 2020 has a week 53 in both systems, 2015 in ISO 8601 only, 2014 in CDC weeks only.
            ("202001", TimeStep::Weeks(1), 53, "202053", "202101"),
            ("201401", TimeStep::Weeks(1), 105, "201553", "201601"),
            ("201401", TimeStep::EpiWeeks(1), 53, "201453", "201501"),
            ("201440", TimeStep::EpiWeeks(2), 30, "201545", "201547"),
            ("2026-W01", TimeStep::Weeks(1), 53, "2026-W53", "2027-W01"),
            ("2024W40", TimeStep::Weeks(1), 30, "2025W17", "2025W18"),
            ("2014-W01", TimeStep::EpiWeeks(1), 53, "2014-W53", "2015-W01"),
            ("1990Q1", TimeStep::Months(3), 30, "1997Q2", "1997Q3"),
            ("1999-Q4", TimeStep::Months(3), 5, "2000-Q4", "2001-Q1"),
            ("2023364", TimeStep::Seconds(DAY), 30, "2024028", "2024029"),
            ("2023-364", TimeStep::Seconds(DAY), 30, "2024-028", "2024-029"),
            ("240120", TimeStep::Seconds(DAY), 30, "240218", "240219"),
            ("2023/11/20", TimeStep::Seconds(DAY), 30, "2023/12/19", "2023/12/20"),
            ("2023/11/20 23:30", TimeStep::Seconds(HOUR), 30, "2023/11/22 04:30", "2023/11/22 05:30"),
            ("20240131T2330", TimeStep::Seconds(HOUR), 30, "20240202T0430", "20240202T0530"),
            ("2024013100", TimeStep::Seconds(HOUR), 48, "2024020123", "2024020200"),
            ("202401312300", TimeStep::Seconds(15 * MINUTE), 30, "202402010615", "202402010630"),
            ("20240131235930", TimeStep::Seconds(30), 30, "20240201001400", "20240201001430"),
        ] {
            let times = column(first, step, rows);
            assert_eq!(times[rows - 1], last);
            assert_eq!(TimeStep::between(&times, 0, |row| row + 2), Ok(step), "{first}");
            assert_eq!(step.next(last, 1).as_deref(), Some(next));
        }
    }

    #[test]
    fn numbers_that_only_start_like_dates_remain_numbers() {
        for (first, size) in [
            ("20240120", 1),
            ("202040", 1),
            ("2024013120", 1),
            ("1712010100", 3600),
            ("100101", 1),
            ("99999999", 1),
            ("1024001", 1),
            ("2024350", 1),
        ] {
            let times = column(first, TimeStep::Count(size), 40);
            assert_eq!(TimeStep::between(&times, 0, |row| row + 2), Ok(TimeStep::Count(size)), "{first}");
        }
    }

    #[test]
    fn ambiguous_months_or_weeks_are_rejected_unless_the_step_is_known() {
        let times = ["202401", "202402", "202403"].map(str::to_owned);
        let (row, detail) = TimeStep::between(&times, 0, |row| row + 2).unwrap_err();
        assert!(row == 0 && detail.contains("months or weeks") && detail.contains("`2024-W01`"), "{detail}");
        for (step, separates) in [
            (TimeStep::Months(1), true),
            (TimeStep::Weeks(1), true),
            (TimeStep::Count(1), true),
            (TimeStep::Months(2), false),
            (TimeStep::Seconds(DAY), false),
        ] {
            assert_eq!(step.separates(&times), separates, "{step:?}");
        }
        assert!(TimeStep::Weeks(1).separates(&times[..1]) && !TimeStep::Weeks(1).separates(&[]));
    }

    #[test]
    fn errors_in_compact_dates_treat_them_as_dates() {
        let without = |first: &str, step, rows, left_out: &str| -> Vec<String> {
            column(first, step, rows).into_iter().filter(|time| time != left_out).collect()
        };
        let mut typo = column("20240101", TimeStep::Seconds(DAY), 31);
        typo[14] = "20240151".to_owned();
        let mut both = column("201401", TimeStep::EpiWeeks(1), 53);
        both.push("201553".to_owned());
        for (times, part) in [
            (
                without("199001", TimeStep::Months(1), 36, "199101"),
                "1 step is missing between `199012` and `199102`, at a step of 1 month",
            ),
            (
                without("202401", TimeStep::Weeks(1), 52, "202413"),
                "1 step is missing between `202412` and `202414`, at a step of 1 week",
            ),
            (
                without("20240101", TimeStep::Seconds(DAY), 60, "20240201"),
                "between `20240131` and `20240202`, at a step of 1 day",
            ),
            (typo, "`20240151` does not have the format of `20240101` on line 2 (a date)"),
            (both, "`201453` does not have the format of `201401` on line 2 (an ISO 8601 week)"),
        ] {
            let (_, detail) = TimeStep::between(&times, 0, |row| row + 2).unwrap_err();
            assert!(detail.contains(part), "{detail}");
        }
    }

    #[test]
    fn month_ends_follow_month_ends() {
        let next = |k| TimeStep::MonthEnds(1).next("2023-12-31", k).unwrap();
        assert_eq!([1, 2, 4].map(next), ["2024-01-31", "2024-02-29", "2024-04-30"]);
    }

    #[test]
    fn errors_name_the_row_and_the_problem() {
        for (times, row, part) in [
            (["2024-01", "2024-02", "2024-03", "2024-06"], 3, "2 steps are missing between `2024-03` and `2024-06`"),
            (
                ["2024-01-05", "2024-02-05", "2024-03-05", "2024-04-06"],
                3,
                "`2024-04-06` is not 1 month after `2024-03-05`",
            ),
            (["1", "3", "5", "6"], 3, "`6` is not 2 after `5`"),
            (["1", "2", "3", "2"], 3, "`2` repeats line 3"),
            (["1", "2", "4", "3"], 3, "`3` follows `4` on line 4"),
            (["2024-01-30", "2024-01-31", "2024-02-01", "2024-02-30"], 3, "`2024-02-30` does not have the format of"),
            (["2024-01-01 10:00", "2024-01-01 11:00", "2024-01-01T12:00", ""], 2, "does not have the format of"),
            (["01", "02", "03", "04"], 0, "`01` is not a timestamp"),
            (["2024-1-1", "2024-1-2", "2024-1-3", "2024-1-4"], 0, "`2024-1-1` is not a timestamp"),
            (["-9223372036854775808", "0", "1", "2"], 0, "is not a timestamp"),
        ] {
            let (found, detail) = between(&times).unwrap_err();
            assert!(found == row && detail.contains(part), "{detail}");
        }
    }

    #[test]
    fn out_of_range_timestamps_have_no_successor() {
        assert_eq!(TimeStep::Seconds(DAY).next("9999-12-31", 1), None);
        assert_eq!(TimeStep::Months(1).next("9999-12", usize::MAX), None);
        assert_eq!(TimeStep::Count(i64::MAX).next("3", 2), None);
        assert_eq!(TimeStep::Count(1).next("äö", 1), None);
    }

    proptest! {
        #[test]
        fn equal_steps_are_inferred_from_any_start(
            second in -60_000_000_000..100_000_000_000i64, size in 1..5_000_000i64, t in any::<bool>(),
        ) {
            let pattern = if t { "%Y-%m-%dT%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
            let times: Vec<String> =
                (0..30).map(|row| Format::Date(pattern, 19).format(second + row * size).unwrap()).collect();
            prop_assert_eq!(TimeStep::between(&times, 0, |row| row), Ok(TimeStep::Seconds(size)));
            prop_assert_eq!(TimeStep::Seconds(size).next(&times[3], 26), Some(times[29].clone()));
        }

        #[test]
        fn any_text_is_parsed_or_rejected(times in prop::collection::vec(".{0,20}|[0-9TW: -]{0,20}|[12][0-9]{3}[0-5][0-9]", 2..9)) {
            let _ = TimeStep::between(&times, 0, |row| row);
            for format in Format::all(&times[0]) {
                prop_assert_eq!(format.parse(&times[0]).and_then(|timestamp| format.format(timestamp)), Some(times[0].clone()));
            }
        }
    }
}
