//! Formats of timestamps: parsing and writing.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Weekday};

use super::{AtRow, DAY, INSTEAD, TimeStep, in_order, quoted};

/// A timestamp format. The numeric value of a timestamp is the number itself, the seconds since 1970 for a date, and those of its
/// first day for a week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Number,
    /// A pattern, and the number of leading characters of its output.
    Date(&'static str, usize),
    /// Year and week number, with the first day of the week and the separator of the two.
    Week(Weekday, &'static str),
    /// Year and quarter, with the separator of the two.
    Quarter(&'static str),
    /// Year and number of the day in the year, with the separator of the two.
    Ordinal(&'static str),
}

/// Pattern of dates of digits only.
pub(super) const COMPACT: &str = "%Y%m%d%H%M%S";

/// Patterns of dates with separators; the first parts of their outputs are formats too.
const PATTERNS: [&str; 4] = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y/%m/%dT%H:%M:%S"];

/// Pattern of dates in the basic format of ISO 8601, and the lengths of dates with hour, minute, second.
const BASIC: &str = "%Y%m%dT%H%M%S";
const BASIC_LENGTHS: [usize; 3] = [11, 13, 15];

/// Pattern of dates of six digits with a year of two digits.
const SHORT: &str = "%y%m%d";

/// Lengths of dates of digits only: year and month, then with day, hour, minute, second.
const COMPACT_LENGTHS: [usize; 5] = [6, 8, 10, 12, 14];

/// Separators of year and week number in ISO 8601 weeks.
const ISO_SEPARATORS: [&str; 3] = ["-W", "W", ""];

impl Format {
    /// The supported formats, for messages.
    pub(super) const FORMS: &str = "`2024-01-31`, `2024/01/31`, `2024-01`, `2024-Q1`, `2024-W05`, `2024-031`, `2024-01-31 13:30`, \
                         `2024-01-31T13:30:00`, the same as digits only such as `20240131`, or an integer";

    /// Bound on the magnitude of integers, so that differences do not overflow.
    const LARGEST: u64 = 1 << 62;

    /// The formats that can parse a string, the most likely first; only strings of digits have more than one.
    pub(super) fn all(text: &str) -> Vec<Self> {
        let lengths = ["2024-01", "2024-01-31", "2024-01-31 13:30", "2024-01-31 13:30:00"].map(str::len);
        let dates = PATTERNS.into_iter().flat_map(|pattern| lengths.map(|length| Self::Date(pattern, length)));
        let compact = COMPACT_LENGTHS.map(|length| Self::Date(COMPACT, length));
        let basic = BASIC_LENGTHS.map(|length| Self::Date(BASIC, length));
        let weeks = [Weekday::Mon, Weekday::Sun].into_iter();
        let weeks = weeks.flat_map(|first| ISO_SEPARATORS.map(|separator| Self::Week(first, separator)));
        let quarters = ["-Q", "Q", " Q"].map(Self::Quarter);
        let ordinals = ["-", ""].map(Self::Ordinal);
        // Six digits are rarely a date with a short year.
        let others = [Self::Number, Self::Date(SHORT, SHORT.len())];
        let all = dates.chain(compact).chain(basic).chain(weeks).chain(quarters).chain(ordinals).chain(others);
        all.filter(|format| format.parse(text).is_some()).collect()
    }

    /// Parses a timestamp: the one that [`Format::format`] maps to exactly this text.
    pub(super) fn parse(self, text: &str) -> Option<i64> {
        let timestamp = match self {
            Self::Number => text.parse().ok().filter(|number: &i64| number.unsigned_abs() < Self::LARGEST),
            Self::Date(pattern, length) => {
                let date = match pattern {
                    SHORT => NaiveDate::parse_from_str(text, pattern).ok()?.and_time(NaiveTime::MIN),
                    _ => {
                        let start_of_year = NaiveDate::from_yo_opt(0, 1)?.and_time(NaiveTime::MIN);
                        let start_of_year = start_of_year.format(pattern).to_string();
                        let whole = format!("{text}{}", start_of_year.get(text.len()..)?);
                        NaiveDateTime::parse_from_str(&whole, pattern).ok()?
                    }
                };
                (pattern != COMPACT || plausible(date.year(), length)).then(|| date.and_utc().timestamp())
            }
            Self::Week(first, separator) => {
                let (year, week) = text.split_at_checked(4)?;
                let (year, week) = (year.parse().ok()?, week.strip_prefix(separator)?.parse().ok()?);
                (!separator.is_empty() || plausible(year, text.len())).then(|| start_of_week(year, week, first))?
            }
            Self::Quarter(separator) => {
                let (year, quarter) = text.split_at_checked(4)?;
                let quarter: u32 = quarter.strip_prefix(separator)?.parse().ok().filter(|quarter| *quarter <= 4)?;
                let day = NaiveDate::from_ymd_opt(year.parse().ok()?, (3 * quarter).checked_sub(2)?, 1)?;
                Some(day.and_time(NaiveTime::MIN).and_utc().timestamp())
            }
            Self::Ordinal(separator) => {
                let (year, day) = text.split_at_checked(4)?;
                let (year, day) = (year.parse().ok()?, day.strip_prefix(separator)?.parse().ok()?);
                let date = NaiveDate::from_yo_opt(year, day)?;
                let is_date = !separator.is_empty() || plausible(year, text.len());
                is_date.then(|| date.and_time(NaiveTime::MIN).and_utc().timestamp())
            }
        }?;
        (self.format(timestamp)? == text).then_some(timestamp)
    }

    pub(super) fn format(self, timestamp: i64) -> Option<String> {
        let date = || DateTime::from_timestamp(timestamp, 0).filter(|date| (0..10_000).contains(&date.year()));
        match self {
            Self::Number => Some(timestamp.to_string()),
            Self::Date(pattern, length) => date()?.format(pattern).to_string().get(..length).map(str::to_owned),
            Self::Week(first, separator) => {
                let day = date()?.date_naive();
                // A week belongs to the year that contains its fourth day.
                let year = (day + TimeDelta::days(3)).year();
                let number = 1 + (day - first_day(year, first)?).num_days() / 7;
                Some(format!("{year:04}{separator}{number:02}"))
            }
            Self::Quarter(separator) => {
                let date = date()?;
                Some(format!("{:04}{separator}{}", date.year(), 1 + date.month0() / 3))
            }
            Self::Ordinal(separator) => {
                let date = date()?;
                Some(format!("{:04}{separator}{:03}", date.year(), date.ordinal()))
            }
        }
    }

    /// The unit step of timestamps in this format.
    fn unit(self, timestamps: &[i64]) -> TimeStep {
        match self {
            Self::Number => TimeStep::Count(1),
            Self::Date(..) | Self::Ordinal(_) => TimeStep::of_calendar(timestamps),
            Self::Quarter(_) => TimeStep::Months(1),
            Self::Week(Weekday::Sun, _) => TimeStep::EpiWeeks(1),
            Self::Week(..) => TimeStep::Weeks(1),
        }
    }

    /// Whether timestamps of this format can have such a step.
    pub(super) fn suits(self, step: TimeStep) -> bool {
        match step {
            TimeStep::Count(_) => self == Self::Number,
            TimeStep::Weeks(_) => matches!(self, Self::Week(Weekday::Mon, _)),
            TimeStep::EpiWeeks(_) => matches!(self, Self::Week(Weekday::Sun, _)),
            TimeStep::Months(months) if months % 3 == 0 => {
                matches!(self, Self::Date(..) | Self::Ordinal(_) | Self::Quarter(_))
            }
            TimeStep::Months(_) | TimeStep::MonthEnds(_) => matches!(self, Self::Date(..) | Self::Ordinal(_)),
            TimeStep::Seconds(seconds) => match self {
                Self::Date(..) => true,
                Self::Ordinal(_) => seconds % DAY == 0,
                _ => false,
            },
        }
    }

    /// Description, for messages.
    fn name(self) -> &'static str {
        match self {
            Self::Number => "an integer",
            Self::Date(..) | Self::Ordinal(_) => "a date",
            Self::Quarter(_) => "a quarter",
            Self::Week(Weekday::Sun, _) => "an epidemiological week",
            Self::Week(..) => "an ISO 8601 week",
        }
    }

    /// The step between all consecutive `times`, parsed in this format, of which `missing` steps may be missing.
    pub(super) fn step(
        self,
        times: &[String],
        missing: usize,
        line: impl Fn(usize) -> usize,
    ) -> Result<TimeStep, AtRow> {
        let parse = |(row, time): (usize, &String)| {
            let (found, first, name) = (quoted(time), quoted(&times[0]), self.name());
            let message = || {
                format!(
                    "{found} does not have the format of {first} on line {} ({name}); correct it, {INSTEAD}",
                    line(0)
                )
            };
            self.parse(time).ok_or_else(|| (row, message()))
        };
        let timestamps = times.iter().enumerate().map(parse).collect::<Result<Vec<_>, _>>()?;
        in_order(times, &timestamps, &line)?;
        self.unit(&timestamps).repeated(times, &timestamps, missing)
    }
}

/// Whether a date of digits only may have this year. Dates with hours start in 1900, since current Unix timestamps would otherwise
/// look like dates.
fn plausible(year: i32, length: usize) -> bool {
    (if length > 8 { 1900..2200 } else { 1700..2200 }).contains(&year)
}

/// The first day of the first week of a year, which is the week of January 4.
fn first_day(year: i32, first: Weekday) -> Option<NaiveDate> {
    let fourth = NaiveDate::from_ymd_opt(year, 1, 4)?;
    fourth.checked_sub_signed(TimeDelta::days(fourth.weekday().days_since(first).into()))
}

/// The start of a week; week numbers beyond the last week continue into the next year.
fn start_of_week(year: i32, week: u32, first: Weekday) -> Option<i64> {
    let days = 7 * (i64::from(week) - 1);
    let day = first_day(year, first)?.checked_add_signed(TimeDelta::days(days))?;
    Some(day.and_time(NaiveTime::MIN).and_utc().timestamp())
}
