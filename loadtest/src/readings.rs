//! The recorded weather that a fleet replays: typed, each value with the exact text of the file.
//!
//! Not here: who replays which reading when; see [`crate::device`].

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// January 2013 at three airports; `data/README.md` says where it comes from.
pub const JANUARY_2013: &str = include_str!("../data/weather-2013-01.csv");

/// How the file writes that nothing was measured.
const NOTHING_MEASURED: &str = "NA";

const HOURS_PER_DAY: u16 = 24;
const DAYS_PER_MONTH_MAX: u16 = 31;

/// What a station measures, by the names of the file's columns.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Temperature.
    Temp,
    /// Dew point.
    Dewp,
    /// Relative humidity.
    Humid,
    /// Where the wind comes from.
    WindDir,
    /// Wind.
    WindSpeed,
    /// Gusts of the wind.
    WindGust,
    /// Precipitation.
    Precip,
    /// Pressure at sea level.
    Pressure,
    /// Visibility.
    Visib,
}

impl Quantity {
    /// All of them, in the order of the file.
    pub const ALL: [Self; 9] = [
        Self::Temp,
        Self::Dewp,
        Self::Humid,
        Self::WindDir,
        Self::WindSpeed,
        Self::WindGust,
        Self::Precip,
        Self::Pressure,
        Self::Visib,
    ];

    /// The name of the column, and the last level of the topic.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Temp => "temp",
            Self::Dewp => "dewp",
            Self::Humid => "humid",
            Self::WindDir => "wind_dir",
            Self::WindSpeed => "wind_speed",
            Self::WindGust => "wind_gust",
            Self::Precip => "precip",
            Self::Pressure => "pressure",
            Self::Visib => "visib",
        }
    }

    /// The unit of its values.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Temp | Self::Dewp => "degF",
            Self::Humid => "%",
            Self::WindDir => "deg",
            Self::WindSpeed | Self::WindGust => "mph",
            Self::Precip => "in",
            Self::Pressure => "mbar",
            Self::Visib => "mi",
        }
    }
}

/// One value that one station measured in one hour.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Which station, such as `EWR`.
    pub station: Arc<str>,
    /// Which hour in UTC, as the file writes it, such as `2013-01-01T06:00:00Z`.
    pub hour: Arc<str>,
    /// What was measured.
    pub quantity: Quantity,
    /// The text of the file, which is a number in JSON.
    pub value: Box<RawValue>,
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} at {}", self.quantity.as_str(), self.station, self.hour)
    }
}

/// The place of a reading in its [`Readings`].
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ReadingId(u32);

/// All readings of one month, by station and hour.
#[derive(Debug)]
pub struct Readings {
    /// In the order of the file: all readings of one station and hour stand together.
    readings: Vec<Reading>,
    stations: Vec<StationLog>,
}

/// One station's month.
#[derive(Debug)]
struct StationLog {
    name: Arc<str>,
    /// Where the readings of each hour of the month are. Empty: the station was silent in that hour.
    hours: Vec<Range<u32>>,
    /// Position in `hours` by the name of the hour.
    by_name: HashMap<Arc<str>, u16>,
}

/// What is wrong with a file of readings.
#[derive(Debug, thiserror::Error)]
pub enum ReadingsError {
    /// Not a table.
    #[error("readings are no table: {0}")]
    Table(#[from] csv::Error),
    /// A column is not there.
    #[error("readings have no column {0:?}")]
    ColumnMissing(&'static str),
    /// A cell holds something else than its column promises.
    #[error("line {line}: column {column} holds {text:?}, which is not {expected}")]
    Cell {
        /// In which line, counted from 1.
        line: u64,
        /// In which column.
        column: &'static str,
        /// What it holds.
        text: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// A second row for one station and hour of the month, as in a table of two months.
    #[error("line {line}: station {station} has reported on hour {hour} already")]
    HourRepeated {
        /// In which line, counted from 1.
        line: u64,
        /// By which station.
        station: Arc<str>,
        /// For which hour.
        hour: Arc<str>,
    },
    /// Nothing to replay.
    #[error("readings hold no value")]
    Empty,
}

impl Readings {
    /// What is compiled in.
    pub fn january_2013() -> Result<Self, ReadingsError> {
        Self::parse(JANUARY_2013)
    }

    /// Reads a table with one row per station and hour of one month; `NA` stands for a value that was not measured.
    pub fn parse(text: &str) -> Result<Self, ReadingsError> {
        let mut table = csv::Reader::from_reader(text.as_bytes());
        let columns = Columns::find(table.headers()?)?;
        let mut readings = Self { readings: Vec::new(), stations: Vec::new() };
        for row in table.records() {
            readings.add(&Row::parse(&columns, &row?)?)?;
        }
        if readings.readings.is_empty() {
            return Err(ReadingsError::Empty);
        }
        Ok(readings)
    }

    /// The names of the stations, in the order of the file.
    pub fn stations(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.stations.iter().map(|log| &log.name)
    }

    /// How many hours the month has: 744 in January.
    pub fn hours(&self) -> u16 {
        let longest = self.stations.iter().map(|log| log.hours.len()).max().unwrap_or(0);
        u16::try_from(longest).unwrap_or(u16::MAX)
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.readings.len()
    }

    /// Never: a table without a value is not taken.
    pub fn is_empty(&self) -> bool {
        self.readings.is_empty()
    }

    /// One reading; `None` if `id` is from another table.
    pub fn reading(&self, id: ReadingId) -> Option<&Reading> {
        self.readings.get(id.0 as usize)
    }

    /// The readings of one station in one hour of the month, counted from 0, in the order of the file.
    pub fn in_hour(&self, station: &str, hour: u16) -> impl Iterator<Item = ReadingId> + use<> {
        let log = self.stations.iter().find(|log| &*log.name == station);
        let range = log.and_then(|log| log.hours.get(usize::from(hour))).cloned().unwrap_or(0..0);
        range.map(ReadingId)
    }

    /// The reading that a payload names.
    pub fn find(&self, station: &str, hour: &str, quantity: Quantity) -> Option<(ReadingId, &Reading)> {
        let log = self.stations.iter().find(|log| &*log.name == station)?;
        let position = *log.by_name.get(hour)?;
        let ids = log.hours.get(usize::from(position))?.clone().map(ReadingId);
        ids.filter_map(|id| self.reading(id).map(|reading| (id, reading)))
            .find(|(_, reading)| reading.quantity == quantity)
    }

    fn add(&mut self, row: &Row<'_>) -> Result<(), ReadingsError> {
        let first = self.readings.len() as u32;
        let position = match self.stations.iter().position(|log| &*log.name == row.station) {
            Some(position) => position,
            None => {
                let name = Arc::from(row.station);
                self.stations.push(StationLog { name, hours: Vec::new(), by_name: HashMap::new() });
                self.stations.len() - 1
            }
        };
        let log = &mut self.stations[position];
        let hour: Arc<str> = Arc::from(row.hour);
        let needed = usize::from(row.hour_of_month) + 1;
        if log.hours.len() < needed {
            log.hours.resize(needed, 0..0);
        }
        let range = &mut log.hours[usize::from(row.hour_of_month)];
        if log.by_name.insert(hour.clone(), row.hour_of_month).is_some() || *range != (0..0) {
            return Err(ReadingsError::HourRepeated { line: row.line, station: log.name.clone(), hour });
        }
        for (quantity, value) in &row.values {
            self.readings.push(Reading {
                station: log.name.clone(),
                hour: hour.clone(),
                quantity: *quantity,
                value: value.clone(),
            });
        }
        *range = first..self.readings.len() as u32;
        Ok(())
    }
}

/// Where the columns are.
struct Columns {
    station: usize,
    day: usize,
    hour: usize,
    time_hour: usize,
    quantities: [usize; Quantity::ALL.len()],
}

impl Columns {
    fn find(header: &csv::StringRecord) -> Result<Self, ReadingsError> {
        let find = |name: &'static str| {
            header.iter().position(|column| column == name).ok_or(ReadingsError::ColumnMissing(name))
        };
        let mut quantities = [0; Quantity::ALL.len()];
        for (position, quantity) in quantities.iter_mut().zip(Quantity::ALL) {
            *position = find(quantity.as_str())?;
        }
        Ok(Self {
            station: find("origin")?,
            day: find("day")?,
            hour: find("hour")?,
            time_hour: find("time_hour")?,
            quantities,
        })
    }
}

/// One checked row.
struct Row<'a> {
    line: u64,
    station: &'a str,
    hour: &'a str,
    /// Counted from 0, in local time.
    hour_of_month: u16,
    values: Vec<(Quantity, Box<RawValue>)>,
}

impl<'a> Row<'a> {
    fn parse(columns: &Columns, record: &'a csv::StringRecord) -> Result<Self, ReadingsError> {
        let line = record.position().map_or(0, csv::Position::line);
        let text = |position: usize| record.get(position).unwrap_or_default();
        let number = |position: usize, column: &'static str, range: Range<u16>, expected: &'static str| {
            let text = text(position);
            text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| ReadingsError::Cell {
                line,
                column,
                text: text.to_owned(),
                expected,
            })
        };
        let day = number(columns.day, "day", 1..DAYS_PER_MONTH_MAX + 1, "a day of a month")?;
        let hour = number(columns.hour, "hour", 0..HOURS_PER_DAY, "an hour of a day")?;
        let mut values = Vec::with_capacity(Quantity::ALL.len());
        for (quantity, position) in Quantity::ALL.into_iter().zip(columns.quantities) {
            let text = text(position);
            if text != NOTHING_MEASURED {
                let value = parse_number(text).ok_or_else(|| ReadingsError::Cell {
                    line,
                    column: quantity.as_str(),
                    text: text.to_owned(),
                    expected: "a number or NA",
                })?;
                values.push((quantity, value));
            }
        }
        Ok(Self {
            line,
            station: topic_level(text(columns.station), line, "origin")?,
            hour: topic_level(text(columns.time_hour), line, "time_hour")?,
            hour_of_month: (day - 1) * HOURS_PER_DAY + hour,
            values,
        })
    }
}

/// The text itself, if it is one level of a topic name: it becomes one, or is a name inside the payload.
fn topic_level<'a>(text: &'a str, line: u64, column: &'static str) -> Result<&'a str, ReadingsError> {
    let is_name = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_:".contains(c));
    is_name.then_some(text).ok_or_else(|| ReadingsError::Cell {
        line,
        column,
        text: text.to_owned(),
        expected: "a name of letters, digits, '-', '_' and ':'",
    })
}

/// The text as JSON, if JSON takes all of it for a number.
fn parse_number(text: &str) -> Option<Box<RawValue>> {
    serde_json::from_str::<serde_json::Number>(text).ok()?;
    RawValue::from_string(text.to_owned()).ok().filter(|value| value.get() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "origin,year,month,day,hour,temp,dewp,humid,wind_dir,wind_speed,wind_gust,precip,\
                          pressure,visib,time_hour\n";

    fn parse_rows(rows: &str) -> Result<Readings, ReadingsError> {
        Readings::parse(&format!("{HEADER}{rows}"))
    }

    #[test]
    fn the_compiled_in_month_is_whole() {
        let readings = Readings::january_2013().unwrap();
        assert_eq!(readings.stations().map(|name| &**name).collect::<Vec<_>>(), ["EWR", "JFK", "LGA"]);
        assert_eq!(readings.len(), 18_071);
        assert_eq!(readings.hours(), 744);
    }

    #[test]
    fn a_value_keeps_the_text_of_the_file() {
        let readings = Readings::january_2013().unwrap();
        let (_, reading) = readings.find("EWR", "2013-01-01T06:00:00Z", Quantity::WindSpeed).unwrap();
        assert_eq!(reading.value.get(), "10.357019999999999");
        let (_, reading) = readings.find("LGA", "2013-02-01T04:00:00Z", Quantity::WindGust).unwrap();
        assert_eq!(reading.value.get(), "25.317159999999998");
    }

    #[test]
    fn what_was_not_measured_is_no_reading() {
        let readings = Readings::january_2013().unwrap();
        assert!(readings.find("EWR", "2013-01-01T06:00:00Z", Quantity::WindGust).is_none());
        assert!(readings.find("EWR", "2013-01-01T05:00:00Z", Quantity::Temp).is_none(), "before the month");
        assert!(readings.find("SFO", "2013-01-01T06:00:00Z", Quantity::Temp).is_none(), "no such station");
    }

    #[test]
    fn the_readings_of_an_hour_stand_in_the_order_of_the_columns() {
        let readings =
            parse_rows("EWR,2013,1,2,3,39,NA,59.37,270,10,NA,0,1012,10,2013-01-02T08:00:00Z\n").unwrap();
        let hour = 24 + 3;
        let quantities: Vec<_> =
            readings.in_hour("EWR", hour).map(|id| readings.reading(id).unwrap().quantity.as_str()).collect();
        assert_eq!(quantities, ["temp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]);
        assert_eq!(readings.in_hour("EWR", hour - 1).count(), 0, "an hour without a row is silent");
        assert_eq!(readings.hours(), hour + 1);
    }

    #[test]
    fn a_faulty_cell_is_named_with_line_column_and_text() {
        let fault =
            parse_rows("EWR,2013,1,1,1,warm,NA,NA,NA,NA,NA,NA,NA,NA,2013-01-01T06:00:00Z\n").unwrap_err();
        assert_eq!(fault.to_string(), "line 2: column temp holds \"warm\", which is not a number or NA");
        let fault =
            parse_rows("EWR,2013,1,32,1,1,NA,NA,NA,NA,NA,NA,NA,NA,2013-01-01T06:00:00Z\n").unwrap_err();
        assert_eq!(fault.to_string(), "line 2: column day holds \"32\", which is not a day of a month");
        let fault =
            parse_rows("E/W,2013,1,1,1,1,NA,NA,NA,NA,NA,NA,NA,NA,2013-01-01T06:00:00Z\n").unwrap_err();
        assert!(fault.to_string().starts_with("line 2: column origin holds \"E/W\""), "{fault}");
    }

    #[test]
    fn json_that_is_no_number_is_no_value() {
        for text in ["\"1\"", "true", "[1]", "1.", ".5", "+1", "0x1", "", " 1"] {
            let cell = text.replace('"', "\"\"");
            let rows = format!("EWR,2013,1,1,1,\"{cell}\",NA,NA,NA,NA,NA,NA,NA,NA,2013-01-01T06:00:00Z\n");
            assert!(matches!(parse_rows(&rows), Err(ReadingsError::Cell { .. })), "{text:?} was taken");
        }
    }

    #[test]
    fn a_table_that_cannot_be_replayed_is_refused() {
        assert!(matches!(parse_rows(""), Err(ReadingsError::Empty)));
        assert!(matches!(Readings::parse("origin,day\n"), Err(ReadingsError::ColumnMissing("temp"))));
        let row = "EWR,2013,1,1,1,1,NA,NA,NA,NA,NA,NA,NA,NA,2013-01-01T06:00:00Z\n";
        assert!(matches!(
            parse_rows(&format!("{row}{row}")),
            Err(ReadingsError::HourRepeated { line: 3, .. })
        ));
        let month_later = row.replace("2013-01", "2013-02");
        let two_months = parse_rows(&format!("{row}{month_later}"));
        assert!(matches!(two_months, Err(ReadingsError::HourRepeated { line: 3, .. })));
    }
}
