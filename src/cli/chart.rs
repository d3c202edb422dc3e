//! A bar chart of what comes in a stretch of time: blocks on a terminal, plain lines elsewhere.

use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::domain::wall::rough;
use crate::domain::zone::Zone;

const MINUTE_MS: i64 = 60_000;
const DAY_MIN: i64 = 1_440;
/// Lengths of a bar, min; a longer one is a multiple of the last.
const BARS_MIN: [i64; 14] = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, DAY_MIN, 2 * DAY_MIN, 7 * DAY_MIN];
/// Bars that fit, at most, however wide the terminal is.
const BARS_MAX: i64 = 60;
/// Beside the bars.
const LABELS: i64 = 9;
/// Rows of blocks.
const ROWS: u64 = 6;
/// Between two labels below the bars.
const LABEL_EVERY: usize = 10;
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Length of the longest plain bar.
const PLAIN: u64 = 40;

/// Bars over a stretch of time; each is as high as the greatest value in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart {
    zone: Zone,
    first: Timestamp,
    bar_min: i64,
    bars: Vec<u64>,
}

impl Chart {
    /// Of values by minute, over `from` to `to`, as wide as `width` columns allow.
    pub fn new(
        zone: Zone,
        (from, to): (Timestamp, Timestamp),
        width: usize,
        values: impl Iterator<Item = (Timestamp, u64)>,
    ) -> Self {
        let most = (i64::try_from(width).unwrap_or(i64::MAX) - LABELS).clamp(10, BARS_MAX);
        let minutes = ((to.0 - from.0) / MINUTE_MS).max(1);
        // One more than fit in between: the first begins at a round time.
        let fits = |bar: &i64| minutes / bar < most;
        let longest = BARS_MIN[BARS_MIN.len() - 1];
        let bar_min = BARS_MIN.into_iter().find(fits).unwrap_or_else(|| longest * (minutes / most / longest + 1));
        let bar_ms = bar_min * MINUTE_MS;
        let offset_ms = i64::from(zone.offset_seconds(from)) * 1000;
        let first = Timestamp((from.0 + offset_ms).div_euclid(bar_ms) * bar_ms - offset_ms);
        let count = usize::try_from((to.0 - first.0 + bar_ms - 1).div_euclid(bar_ms)).unwrap_or(1).max(1);
        let mut bars = vec![0; count];
        for (at, value) in values {
            let bar = usize::try_from((at.0.max(first.0) - first.0) / bar_ms).unwrap_or(0);
            if let Some(bar) = bars.get_mut(bar) {
                *bar = value.max(*bar);
            }
        }
        Self { zone, first, bar_min, bars }
    }

    /// How long a bar is, for people.
    pub fn bar(&self) -> String {
        rough(Span(self.bar_min.unsigned_abs() * 60_000))
    }

    /// With blocks, and a scale.
    pub fn blocks(&self) -> String {
        let most = self.bars.iter().copied().max().unwrap_or(0).max(1);
        let mut text = String::new();
        for row in (0..ROWS).rev() {
            let label = match row {
                _ if row == ROWS - 1 => most.to_string(),
                0 => "0".to_owned(),
                _ => String::new(),
            };
            let line: String = self.bars.iter().map(|bar| BLOCKS[eighths(*bar, most, row)]).collect();
            text.push_str(format!("{label:>7} {}", line).trim_end());
            text.push('\n');
        }
        let labels = (0..self.bars.len()).step_by(LABEL_EVERY).map(|bar| {
            let room = LABEL_EVERY.min(self.bars.len() - bar);
            let label = self.label(bar);
            if label.len() < room { format!("{label:<room$}") } else { " ".repeat(room) }
        });
        text.push_str(format!("{:8}{}", "", labels.collect::<String>()).trim_end());
        text.push('\n');
        text
    }

    /// A line a bar, those of zero left out.
    pub fn plain(&self) -> String {
        let most = self.bars.iter().copied().max().unwrap_or(0).max(1);
        let width = most.to_string().len();
        let shown = self.bars.iter().enumerate().filter(|(_, value)| **value > 0);
        let lines = shown.map(|(bar, value)| {
            let marks = "#".repeat(usize::try_from((value * PLAIN).div_ceil(most)).unwrap_or(0));
            format!("  {}  {value:>width$}  {marks}\n", self.at(bar).format("%-d %b %H:%M"))
        });
        lines.collect()
    }

    fn at(&self, bar: usize) -> chrono::NaiveDateTime {
        let ms = i64::try_from(bar).unwrap_or(0) * self.bar_min * MINUTE_MS;
        self.zone.to_local(Timestamp(self.first.0 + ms))
    }

    fn label(&self, bar: usize) -> String {
        let format = if self.bar_min * LABEL_EVERY as i64 >= DAY_MIN { "%-d %b" } else { "%H:%M" };
        self.at(bar).format(format).to_string()
    }
}

/// How much of a row a bar fills; what is not zero shows.
fn eighths(value: u64, most: u64, row: u64) -> usize {
    let whole = u128::from(value) * u128::from(ROWS) * 8;
    let filled = whole.div_ceil(u128::from(most)).saturating_sub(u128::from(row) * 8).min(8);
    usize::try_from(filled).unwrap_or(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse("at", text, None).unwrap()
    }

    fn day(values: &[(&str, u64)], width: usize) -> Chart {
        let zone = Zone::parse("tz", "Europe/Berlin").unwrap();
        let window = (at("2026-11-21T17:10:00Z"), at("2026-11-22T17:10:00Z"));
        Chart::new(zone, window, width, values.iter().map(|(time, value)| (at(time), *value)))
    }

    #[test]
    fn a_day_is_half_hours_that_begin_at_round_local_times() {
        let chart = day(&[("2026-11-21T23:00:00Z", 12), ("2026-11-21T23:29:00Z", 3), ("2026-11-22T17:09:00Z", 6)], 80);
        assert_eq!((chart.bar(), chart.bars.len()), ("30 min".to_owned(), 49));
        assert_eq!((chart.bars[12], chart.bars[48]), (12, 6));
        let lines: Vec<String> = chart.blocks().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 7);
        assert_eq!(lines[0], format!("     12 {}█", " ".repeat(12)));
        assert_eq!(lines[3], format!("        {}█{}█", " ".repeat(12), " ".repeat(35)));
        assert_eq!(lines[6].trim_start(), "18:00     23:00     04:00     09:00     14:00");
        assert_eq!(
            chart.plain(),
            format!("  22 Nov 00:00  12  {}\n  22 Nov 18:00   6  {}\n", "#".repeat(40), "#".repeat(20))
        );
    }

    #[test]
    fn the_whole_range_fits_however_narrow_the_terminal_is() {
        for width in [0, 20, 40, 80, 300] {
            let chart = day(&[], width);
            assert!(chart.bars.len() <= width.saturating_sub(9).clamp(10, 60), "{width}");
        }
        let zone = Zone::utc();
        let year = (at("2026-11-21T17:10:00Z"), at("2027-11-22T17:10:00Z"));
        let chart = Chart::new(zone, year, 80, std::iter::empty());
        assert_eq!(chart.bar(), "7 d");
        assert!(chart.bars.len() <= 60);
    }

    #[test]
    fn what_is_not_zero_shows() {
        assert_eq!(eighths(1, 1_000, 0), 1);
        assert_eq!(eighths(0, 1_000, 0), 0);
        assert_eq!((eighths(1_000, 1_000, 5), eighths(999, 1_000, 5), eighths(500, 1_000, 3)), (8, 8, 0));
    }
}
