//! Instants as people read them: in the entry's zone, with the zone, and how far from now.

use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;

/// Shows instants of one zone, seen from one moment.
#[derive(Debug, Clone)]
pub struct Wall {
    /// The zone.
    pub zone: Zone,
    /// What counts as now.
    pub now: Timestamp,
}

impl Wall {
    /// `12:07:45 UTC`, `21 Nov 02:30:00 CET`.
    pub fn at(&self, at: Timestamp) -> String {
        format!("{} {}", self.without_zone(at), self.zone.abbreviation(at))
    }

    /// `12:07:45` today, `21 Nov 02:30:00` on other days, with the year where it is another.
    pub fn without_zone(&self, at: Timestamp) -> String {
        let time = if at.0.rem_euclid(1000) == 0 { "%H:%M:%S" } else { "%H:%M:%S%.3f" };
        self.day_and(at, "%-d %b ", "%-d %b %Y ", time)
    }

    /// `in 14 h`, `3 min ago`, `now`.
    pub fn relative(&self, at: Timestamp) -> String {
        let distance = at.0 - self.now.0;
        let words = rough(Span(distance.unsigned_abs()));
        match distance {
            0 => "now".to_owned(),
            1.. => format!("in {words}"),
            _ => format!("{words} ago"),
        }
    }

    /// `02:30:00 CET (in 14 h)`.
    pub fn full(&self, at: Timestamp) -> String {
        format!("{} ({})", self.at(at), self.relative(at))
    }

    /// Several instants, the zone once: `12:07:45, 12:07:50 UTC (in 4 s)`, and where the first is on another day
    /// `Sat 21 Nov 02:30 CET (in 13 h 20 min), Sun 22 Nov 02:30`.
    pub fn list(&self, times: &[Timestamp]) -> String {
        let Some((first, rest)) = times.split_first() else { return "never again".to_owned() };
        let are_whole = |ms: i64| times.iter().all(|at| at.0.rem_euclid(ms) == 0);
        let format = match (are_whole(60_000), are_whole(1000)) {
            (true, _) => "%H:%M",
            (_, true) => "%H:%M:%S",
            _ => "%H:%M:%S%.3f",
        };
        let shown = |at: &Timestamp| self.day_and(*at, "%a %-d %b ", "%a %-d %b %Y ", format);
        let zone = self.zone.abbreviation(*first);
        let relative = self.relative(*first);
        let rest: String = rest.iter().map(|at| format!(", {}", shown(at))).collect();
        let is_today = times.iter().all(|at| shown(at).len() <= "12:07:45.250".len());
        match is_today {
            true => format!("{}{rest} {zone} ({relative})", shown(first)),
            false => format!("{} {zone} ({relative}){rest}", shown(first)),
        }
    }

    /// `Fri 20 Nov 02:00 CET`: always with its day, seconds only where it has some, the year where it is another.
    pub fn dated(&self, at: Timestamp) -> String {
        let (local, now) = (self.zone.to_local(at), self.zone.to_local(self.now));
        let year = if local.format("%Y").to_string() == now.format("%Y").to_string() { "" } else { " %Y" };
        let format = format!("%a %-d %b{year} {}", clock_of(at));
        format!("{} {}", local.format(&format), self.zone.abbreviation(at))
    }

    /// When something happened, as [`Wall::dated`]: to the second, and of what is older than an hour to the minute.
    pub fn moment(&self, at: Timestamp) -> String {
        self.dated(self.cut(at))
    }

    /// The same without the zone, and today without the day: `16:12:40`, `18 Nov 16:12`.
    pub fn short(&self, at: Timestamp) -> String {
        let at = self.cut(at);
        self.day_and(at, "%-d %b ", "%-d %b %Y ", clock_of(at))
    }

    fn cut(&self, at: Timestamp) -> Timestamp {
        let unit_ms = if (self.now.0 - at.0).abs() < 3_600_000 { 1_000 } else { 60_000 };
        Timestamp(at.0.div_euclid(unit_ms) * unit_ms)
    }

    /// `17 Nov`, with the year where it is another.
    pub fn day(&self, at: Timestamp) -> String {
        let (local, now) = (self.zone.to_local(at), self.zone.to_local(self.now));
        let year = if local.format("%Y").to_string() == now.format("%Y").to_string() { "" } else { " %Y" };
        local.format(&format!("%-d %b{year}")).to_string()
    }

    /// `18 and 19 Nov` where all are at the same time of day as `like` on other days, else `02:05, 02:10 and 02:15`.
    pub fn several(&self, times: &[Timestamp], like: Timestamp) -> String {
        let words: Vec<String> = times.iter().map(|at| self.beside(*at, like)).collect();
        let months: Vec<&str> = words.iter().filter_map(|word| word.split_once(' ').map(|(_, month)| month)).collect();
        let is_one_month = months.len() == words.len() && months.windows(2).all(|pair| pair[0] == pair[1]);
        match &words[..] {
            [rest @ .., last] if is_one_month && !rest.is_empty() && !words.iter().any(|word| word.contains(':')) => {
                let days: Vec<&str> = rest.iter().filter_map(|word| word.split(' ').next()).collect();
                format!("{} and {last}", days.join(", "))
            }
            [rest @ .., last] if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
            _ => words.concat(),
        }
    }

    /// A fire time beside another: its day alone where the time of day is the same, its time alone on the same day.
    pub fn beside(&self, at: Timestamp, like: Timestamp) -> String {
        let (local, other) = (self.zone.to_local(at), self.zone.to_local(like));
        match (local.date() == other.date(), local.time() == other.time()) {
            (false, true) => self.day(at),
            (true, _) => local.format(clock_of(at)).to_string(),
            _ => format!("{} {}", self.day(at), local.format(clock_of(at))),
        }
    }

    /// The time, after the day where it is not today.
    fn day_and(&self, at: Timestamp, day: &str, day_and_year: &str, time: &str) -> String {
        let (local, now) = (self.zone.to_local(at), self.zone.to_local(self.now));
        let same = |format: &str| local.format(format).to_string() == now.format(format).to_string();
        let day = match (same("%F"), same("%Y")) {
            (true, _) => "",
            (_, true) => day,
            _ => day_and_year,
        };
        local.format(&format!("{day}{time}")).to_string()
    }

    /// A text with the instants in it as people read them.
    pub fn localised(&self, text: &str) -> String {
        let words = text.split(' ').map(|word| match Timestamp::parse("", word, None) {
            Ok(at) if word.len() == "2026-11-20T12:00:00.000Z".len() => self.at(at),
            _ => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

/// The time of day as short as it can be said.
fn clock_of(at: Timestamp) -> &'static str {
    match at.0.rem_euclid(60_000) {
        0 => "%H:%M",
        ms if ms % 1000 == 0 => "%H:%M:%S",
        _ => "%H:%M:%S%.3f",
    }
}

/// The two greatest units: `13 h 20 min`, `2 d 3 h`.
pub fn rough(span: Span) -> String {
    let cut = match span.0 {
        0..1_000 => span.0,
        1_000..60_000 => span.0 / 1_000 * 1_000,
        60_000..3_600_000 => span.0 / 1_000 * 1_000,
        3_600_000..86_400_000 => span.0 / 60_000 * 60_000,
        _ => span.0 / 3_600_000 * 3_600_000,
    };
    Span(cut).human()
}

/// How long something took: `3 ms`, `0.4 s`, `2.0 s`, `13 min 52 s`.
pub fn took(ms: i64) -> String {
    match ms {
        ..100 => format!("{ms} ms"),
        100..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => rough(Span(ms.unsigned_abs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse("at", text, None).unwrap()
    }

    #[test]
    fn times_name_their_zone_and_the_day_only_where_it_is_another() {
        let wall = Wall { zone: Zone::parse("tz", "Europe/Berlin").unwrap(), now: at("2026-11-20T12:00:00Z") };
        assert_eq!(wall.at(at("2026-11-20T12:07:45Z")), "13:07:45 CET");
        assert_eq!(wall.full(at("2026-11-21T01:30:00Z")), "21 Nov 02:30:00 CET (in 13 h 30 min)");
        assert_eq!(wall.at(at("2027-07-01T00:00:00.250Z")), "1 Jul 2027 02:00:00.250 CEST");
        assert_eq!(wall.relative(at("2026-11-18T11:00:00Z")), "2 d 1 h ago");
        assert_eq!(wall.localised("the run of 2026-11-20T12:00:00.000Z was"), "the run of 13:00:00 CET was");
        assert_eq!(wall.list(&[]), "never again");
        let nights = [at("2026-11-21T01:30:00Z"), at("2026-11-22T01:30:00Z")];
        assert_eq!(wall.list(&nights), "Sat 21 Nov 02:30 CET (in 13 h 30 min), Sun 22 Nov 02:30");
        let soon = [at("2026-11-20T12:00:05Z"), at("2026-11-20T12:00:10Z")];
        assert_eq!(wall.list(&soon), "13:00:05, 13:00:10 CET (in 5 s)");
        let dense = [at("2026-11-20T12:00:00.100Z"), at("2026-11-20T12:00:00.200Z")];
        assert_eq!(wall.list(&dense), "13:00:00.100, 13:00:00.200 CET (in 100 ms)");
    }

    #[test]
    fn fire_times_beside_each_other_say_only_what_differs() {
        let wall = Wall { zone: Zone::parse("tz", "Europe/Berlin").unwrap(), now: at("2026-11-20T12:00:00Z") };
        let night = at("2026-11-20T01:00:00Z");
        assert_eq!(wall.dated(night), "Fri 20 Nov 02:00 CET");
        assert_eq!(wall.dated(at("2025-07-01T00:00:05Z")), "Tue 1 Jul 2025 02:00:05 CEST");
        assert_eq!(
            (wall.short(night), wall.short(at("2026-11-18T15:12:00Z"))),
            ("02:00".into(), "18 Nov 16:12".into())
        );
        assert_eq!(wall.short(at("2026-11-20T11:30:05.678Z")), "12:30:05");
        assert_eq!(wall.moment(at("2026-11-19T11:30:05.678Z")), "Thu 19 Nov 12:30 CET");
        let nights = [at("2026-11-17T01:00:00Z"), at("2026-11-18T01:00:00Z"), at("2026-11-19T01:00:00Z")];
        assert_eq!(wall.several(&nights[..1], night), "17 Nov");
        assert_eq!(wall.several(&nights, night), "17, 18 and 19 Nov");
        assert_eq!(wall.several(&[at("2026-10-31T01:00:00Z"), nights[0]], night), "31 Oct and 17 Nov");
        let minutes = [at("2026-11-20T01:05:00Z"), at("2026-11-20T01:10:00Z")];
        assert_eq!(wall.several(&minutes, night), "02:05 and 02:10");
        assert_eq!(wall.beside(at("2026-11-19T01:05:00Z"), night), "19 Nov 02:05");
    }

    #[test]
    fn durations_are_as_short_as_they_can_be_said() {
        for (ms, text) in [(3, "3 ms"), (400, "0.4 s"), (2_000, "2.0 s"), (17_100, "17.1 s"), (832_000, "13 min 52 s")]
        {
            assert_eq!(took(ms), text);
        }
    }
}
