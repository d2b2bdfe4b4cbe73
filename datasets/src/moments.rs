//! Moments as files write them, and the equal steps between them.

use std::collections::HashMap;
use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime};
use serde::{Deserialize, Serialize};

/// What lies between two rows of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// So many months, from the same time of each.
    Months(i64),
    /// So many months, from the same time before the end of each, such as its last day.
    MonthEnds(i64),
    /// So many seconds.
    Seconds(i64),
    /// So much, where moments are whole numbers.
    Count(i64),
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How a file writes its moments; as a number, a moment is itself, as a date the seconds since 1970.
#[derive(Clone, Copy)]
enum Format {
    Number,
    /// The first so many characters of what the pattern gives.
    Date(&'static str, usize),
}

impl Format {
    /// What a moment may look like, for messages.
    const FORMS: &str = "`2024-01-31`, `2024-01`, `2024-01-31 13:30`, `2024-01-31T13:30:00` or a whole number";

    /// Whole numbers below this differ by what can be counted.
    const LARGEST: u64 = 1 << 62;

    fn of(text: &str) -> Option<Self> {
        let pattern = if text.contains('T') { "%Y-%m-%dT%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
        let lengths = ["2024-01", "2024-01-31", "2024-01-31 13:30", "2024-01-31 13:30:00"].map(str::len);
        let dates = lengths.map(|length| Self::Date(pattern, length));
        dates.into_iter().chain([Self::Number]).find(|format| format.read(text).is_some())
    }

    /// The moment that [`Format::write`] writes as exactly this text.
    fn read(self, text: &str) -> Option<i64> {
        let moment = match self {
            Self::Number => text.parse().ok().filter(|number: &i64| number.unsigned_abs() < Self::LARGEST),
            Self::Date(pattern, _) => {
                let start_of_month = if pattern.contains('T') { "0000-01-01T00:00:00" } else { "0000-01-01 00:00:00" };
                let whole = format!("{text}{}", start_of_month.get(text.len()..)?);
                NaiveDateTime::parse_from_str(&whole, pattern).ok().map(|date| date.and_utc().timestamp())
            }
        }?;
        (self.write(moment)? == text).then_some(moment)
    }

    fn write(self, moment: i64) -> Option<String> {
        match self {
            Self::Number => Some(moment.to_string()),
            Self::Date(pattern, length) => {
                let date = DateTime::from_timestamp(moment, 0).filter(|date| (0..10_000).contains(&date.year()))?;
                date.format(pattern).to_string().get(..length).map(str::to_owned)
            }
        }
    }
}

impl Step {
    /// The step between all neighbours of `times`, which are two at least.
    ///
    /// # Errors
    /// The row of the first moment that is unreadable, out of order or off the step, and what is wrong; `line` tells
    /// the line of a row.
    pub(crate) fn between(times: &[String], line: impl Fn(usize) -> usize) -> Result<Self, (usize, String)> {
        let format = Format::of(&times[0]).ok_or_else(|| {
            let found = shown(&times[0]);
            (0, format!("{found} is no moment: expected {}, {INSTEAD}", Format::FORMS))
        })?;
        let read = |(row, time): (usize, &String)| {
            let other = || format!("{} is not written as {} of line {} is", shown(time), shown(&times[0]), line(0));
            format.read(time).ok_or_else(|| (row, other()))
        };
        let moments = times.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
        in_order(times, &moments, line)?;
        let unit = match format {
            Format::Number => Self::Count(1),
            Format::Date(..) => Self::of_calendar(&moments),
        };
        unit.repeated(times, &moments)
    }

    /// Months if most moments are as far into theirs, or from its end, as the first one; else seconds.
    fn of_calendar(moments: &[i64]) -> Self {
        let alike = |unit: &Self| {
            let rest = |&moment: &i64| unit.place(moment).map(|(_, rest)| rest);
            moments.iter().filter(|moment| rest(moment) == rest(&moments[0])).count()
        };
        let months = [Self::MonthEnds(1), Self::Months(1)].into_iter().max_by_key(alike);
        months.filter(|unit| 2 * alike(unit) > moments.len()).unwrap_or(Self::Seconds(1))
    }

    /// As many of this unit as lie between most neighbours, if they lie between all.
    fn repeated(self, times: &[String], moments: &[i64]) -> Result<Self, (usize, String)> {
        let places: Vec<_> = moments.iter().map(|&moment| self.place(moment)).collect();
        let apart = |row: usize| match (places[row - 1], places[row]) {
            (Some((before, rest)), Some((place, same))) if rest == same => Some(place - before),
            _ => None,
        };
        let mut counts: HashMap<i64, usize> = HashMap::new();
        (1..times.len()).filter_map(apart).for_each(|size| *counts.entry(size).or_default() += 1);
        let size = counts.into_iter().max_by_key(|&(size, count)| (count, -size)).map_or(1, |(size, _)| size);
        let step = match self {
            Self::Months(_) => Self::Months(size),
            Self::MonthEnds(_) => Self::MonthEnds(size),
            Self::Seconds(_) => Self::Seconds(size),
            Self::Count(_) => Self::Count(size),
        };
        let Some(row) = (1..times.len()).find(|&row| apart(row) != Some(size)) else { return Ok(step) };
        let [before, time] = [&times[row - 1], &times[row]];
        Err(match apart(row) {
            Some(found) if found % size == 0 => {
                let missing = match found / size - 1 {
                    1 => "1 step is missing".to_owned(),
                    missing => format!("{missing} steps are missing"),
                };
                let detail = format!("{missing} between `{before}` and `{time}`, where a step is {step}");
                (row, format!("{detail}; fill them in, {INSTEAD}"))
            }
            _ => (row, format!("`{time}` is off the step of {step} after `{before}`; correct it, {INSTEAD}")),
        })
    }

    /// Which unit of the calendar or the numbers holds a moment, and what the moment is beyond the unit's start.
    fn place(self, moment: i64) -> Option<(i64, i64)> {
        let Some(ahead) = self.months_ahead() else { return Some((moment, 0)) };
        let date = DateTime::from_timestamp(moment, 0)?;
        let month = 12 * i64::from(date.year()) + i64::from(date.month0());
        Some((month, moment - start_of_month(month + ahead)?))
    }

    /// The moment k steps after another; the inverse of [`Step::place`].
    fn after(self, moment: i64, k: usize) -> Option<i64> {
        let (Self::Months(size) | Self::MonthEnds(size) | Self::Seconds(size) | Self::Count(size)) = self;
        let (place, rest) = self.place(moment)?;
        let place = place.checked_add(size.checked_mul(i64::try_from(k).ok()?)?)?;
        match self.months_ahead() {
            Some(ahead) => Some(start_of_month(place.checked_add(ahead)?)? + rest),
            None => Some(place),
        }
    }

    /// From the start of which month a moment is counted, relative to its own; `None` if months do not matter.
    fn months_ahead(self) -> Option<i64> {
        match self {
            Self::Months(_) => Some(0),
            Self::MonthEnds(_) => Some(1),
            Self::Seconds(_) | Self::Count(_) => None,
        }
    }

    /// The moment k steps after `time`, written as `time` is; `None` if `time` is no moment or the other out of range.
    pub fn next(self, time: &str, k: usize) -> Option<String> {
        let format = Format::of(time)?;
        format.write(self.after(format.read(time)?, k)?)
    }

    /// How many steps a moment is from the beginning of 1970, or from 0; `None` if it is no moment. Tables of one step agree on it,
    /// wherever they begin.
    pub fn number(self, time: &str) -> Option<i64> {
        let (Self::Months(size) | Self::MonthEnds(size) | Self::Seconds(size) | Self::Count(size)) = self;
        let (place, _) = self.place(Format::of(time)?.read(time)?)?;
        let begin = if self.months_ahead().is_some() { 12 * 1970 } else { 0 };
        Some((place - begin).div_euclid(size))
    }

    /// The steps of a year for months, and of a day for shorter steps; `None` where the calendar suggests nothing.
    pub fn season(self) -> Option<usize> {
        let (size, whole) = match self {
            Self::Months(size) | Self::MonthEnds(size) => (size, 12),
            Self::Seconds(size) => (size, DAY),
            Self::Count(_) => return None,
        };
        (size < whole && whole % size == 0).then_some((whole / size) as usize)
    }
}

/// "1 month", "6 hours", "7 days", "10".
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (count, unit) = match *self {
            Self::Months(count) | Self::MonthEnds(count) => (count, "month"),
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

/// The way out where moments have no equal steps.
const INSTEAD: &str = "or leave --time out to count the rows";

/// Text of a file as messages quote it: not all of it, if it is long.
pub(crate) fn shown(text: &str) -> String {
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

fn in_order(times: &[String], moments: &[i64], line: impl Fn(usize) -> usize) -> Result<(), (usize, String)> {
    let Some(row) = (1..moments.len()).find(|&row| moments[row] <= moments[row - 1]) else { return Ok(()) };
    let detail = match moments[..row].iter().position(|&moment| moment == moments[row]) {
        Some(twin) => format!("`{}` is on line {} already; cut one of the two", times[row], line(twin)),
        None => {
            format!("`{}` comes after `{}` of line {}", times[row], times[row - 1], line(row - 1))
                + ", which is later; sort the rows by time"
        }
    };
    Err((row, format!("{detail}, {INSTEAD}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn between(times: &[&str]) -> Result<Step, (usize, String)> {
        let times: Vec<String> = times.iter().map(|&time| time.to_owned()).collect();
        Step::between(&times, |row| row + 2)
    }

    #[test]
    fn the_step_is_what_lies_between_rows() {
        for (times, step, name, season) in [
            (["1949-11", "1949-12", "1950-01"], Step::Months(1), "1 month", Some(12)),
            (["1999-10-01", "2000-01-01", "2000-04-01"], Step::Months(3), "3 months", Some(4)),
            (["2024-01-31", "2024-02-29", "2024-03-31"], Step::MonthEnds(1), "1 month", Some(12)),
            (["2021-06-30", "2022-06-30", "2023-06-30"], Step::Months(12), "12 months", None),
            (["2024-02-28", "2024-02-29", "2024-03-01"], Step::Seconds(DAY), "1 day", None),
            (["2024-01-01", "2024-01-29", "2024-02-26"], Step::Seconds(28 * DAY), "28 days", None),
            (["2024-02-28 22:00", "2024-02-28 23:00", "2024-02-29 00:00"], Step::Seconds(HOUR), "1 hour", Some(24)),
            (
                ["1969-12-31T23:59:50", "1970-01-01T00:00:00", "1970-01-01T00:00:10"],
                Step::Seconds(10),
                "10 seconds",
                Some(8640),
            ),
            (["-5", "0", "5"], Step::Count(5), "5", None),
            (["1980", "1981", "1982"], Step::Count(1), "1", None),
        ] {
            assert_eq!(between(&times), Ok(step));
            assert_eq!((&*step.to_string(), step.season()), (name, season));
            assert_eq!(step.next(times[0], 2).as_deref(), Some(times[2]));
        }
    }

    #[test]
    fn steps_are_numbered_alike_wherever_a_table_begins() {
        let number = |step: Step, time: &str| step.number(time).unwrap();
        assert_eq!(number(Step::Months(1), "1970-01"), 0);
        assert_eq!([number(Step::Months(3), "1970-07"), number(Step::MonthEnds(1), "1969-12-31")], [2, -1]);
        assert_eq!(
            [number(Step::Seconds(3600), "1970-01-02 05:30"), number(Step::Seconds(DAY), "1969-12-31")],
            [29, -1]
        );
        assert_eq!((number(Step::Count(10), "40"), Step::Count(1).number("noon")), (4, None));
        for (step, time) in
            [(Step::Months(2), "2024-05"), (Step::Seconds(900), "2024-02-29 23:45"), (Step::Count(7), "21")]
        {
            let later = step.next(time, 30).unwrap();
            assert_eq!(number(step, &later) - number(step, time), 30);
        }
    }

    #[test]
    fn the_last_day_of_a_month_is_followed_by_the_last_day_of_the_next() {
        let next = |k| Step::MonthEnds(1).next("2023-12-31", k).unwrap();
        assert_eq!([1, 2, 4].map(next), ["2024-01-31", "2024-02-29", "2024-04-30"]);
    }

    #[test]
    fn unequal_steps_name_the_row_and_what_is_wrong() {
        for (times, row, part) in [
            (["2024-01", "2024-02", "2024-03", "2024-06"], 3, "2 steps are missing between `2024-03` and `2024-06`"),
            (["2024-01-05", "2024-02-05", "2024-03-05", "2024-04-06"], 3, "`2024-04-06` is off the step of 1 month"),
            (["1", "3", "5", "6"], 3, "`6` is off the step of 2 after `5`"),
            (["1", "2", "3", "2"], 3, "`2` is on line 3 already"),
            (["1", "2", "4", "3"], 3, "`3` comes after `4` of line 4"),
            (["2024-01-30", "2024-01-31", "2024-02-01", "2024-02-30"], 3, "`2024-02-30` is not written as"),
            (["2024-01-01 10:00", "2024-01-01 11:00", "2024-01-01T12:00", ""], 2, "is not written as"),
            (["01", "02", "03", "04"], 0, "`01` is no moment"),
            (["2024-1-1", "2024-1-2", "2024-1-3", "2024-1-4"], 0, "`2024-1-1` is no moment"),
            (["-9223372036854775808", "0", "1", "2"], 0, "is no moment"),
        ] {
            let (found, detail) = between(&times).unwrap_err();
            assert!(found == row && detail.contains(part), "{detail}");
        }
    }

    #[test]
    fn what_no_calendar_holds_has_no_next_moment() {
        assert_eq!(Step::Seconds(DAY).next("9999-12-31", 1), None);
        assert_eq!(Step::Months(1).next("9999-12", usize::MAX), None);
        assert_eq!(Step::Count(i64::MAX).next("3", 2), None);
        assert_eq!(Step::Count(1).next("äö", 1), None);
    }

    proptest! {
        #[test]
        fn equal_steps_from_any_moment_are_found_again(
            second in -60_000_000_000..100_000_000_000i64, size in 1..5_000_000i64, t in any::<bool>(),
        ) {
            let pattern = if t { "%Y-%m-%dT%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
            let times: Vec<String> =
                (0..30).map(|row| Format::Date(pattern, 19).write(second + row * size).unwrap()).collect();
            prop_assert_eq!(Step::between(&times, |row| row), Ok(Step::Seconds(size)));
            prop_assert_eq!(Step::Seconds(size).next(&times[3], 26), Some(times[29].clone()));
        }

        #[test]
        fn any_text_is_a_moment_or_refused(times in prop::collection::vec(".{0,20}|[0-9T: -]{0,20}", 2..9)) {
            let _ = Step::between(&times, |row| row);
            if let Some(format) = Format::of(&times[0]) {
                prop_assert_eq!(format.read(&times[0]).and_then(|moment| format.write(moment)), Some(times[0].clone()));
            }
        }
    }
}
