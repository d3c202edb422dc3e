//! The way out for a name that is no zone: the nearest ones.

use crate::error::Error;

/// Other names of UTC; constant by definition.
pub(super) const NAMES_OF_UTC: [&str; 9] =
    ["UTC", "UCT", "Universal", "Zulu", "GMT", "GMT0", "GMT+0", "GMT-0", "Greenwich"];

/// Abbreviations that people type, and zones that may be meant. Some are names in the IANA database too, where they do
/// not mean what they seem to (`EST` has no summer time, `CET` has), so they are refused like the others.
pub(super) const ABBREVIATIONS: [(&str, &str); 35] = [
    ("ACST", "Australia/Adelaide, Australia/Darwin"),
    ("AEDT", "Australia/Sydney"),
    ("AEST", "Australia/Sydney, Australia/Brisbane"),
    ("AKST", "America/Anchorage"),
    ("AST", "America/Halifax, Asia/Riyadh"),
    ("AWST", "Australia/Perth"),
    ("BRT", "America/Sao_Paulo"),
    ("BST", "Europe/London, Asia/Dhaka"),
    ("CDT", "America/Chicago, America/Havana"),
    ("CEST", "Europe/Berlin, Europe/Paris"),
    ("CET", "Europe/Berlin, Europe/Paris"),
    ("CST", "America/Chicago, Asia/Shanghai"),
    ("EDT", "America/New_York"),
    ("EEST", "Europe/Athens, Europe/Kyiv"),
    ("EET", "Europe/Athens, Europe/Kyiv, Africa/Cairo"),
    ("EST", "America/New_York, America/Panama"),
    ("HKT", "Asia/Hong_Kong"),
    ("HST", "Pacific/Honolulu"),
    ("ICT", "Asia/Bangkok"),
    ("IST", "Asia/Kolkata, Asia/Jerusalem, Europe/Dublin"),
    ("JST", "Asia/Tokyo"),
    ("KST", "Asia/Seoul"),
    ("MDT", "America/Denver"),
    ("MET", "Europe/Berlin, Europe/Paris"),
    ("MSK", "Europe/Moscow"),
    ("MST", "America/Denver, America/Phoenix"),
    ("NZDT", "Pacific/Auckland"),
    ("NZST", "Pacific/Auckland"),
    ("PDT", "America/Los_Angeles"),
    ("PST", "America/Los_Angeles, Asia/Manila"),
    ("SAST", "Africa/Johannesburg"),
    ("SGT", "Asia/Singapore"),
    ("WEST", "Europe/Lisbon"),
    ("WET", "Europe/Lisbon"),
    ("WIB", "Asia/Jakarta"),
];

/// Whether the database knows the name but upbeat does not take it: an abbreviation, or the placeholder `Factory`.
pub(super) fn is_refused(known: &str) -> bool {
    known == "Factory" || known == "Etc/Unknown" || ABBREVIATIONS.iter().any(|(abbreviation, _)| *abbreviation == known)
}

/// Why `name` is no zone, and which ones are near.
pub(super) fn refusal(field: &str, name: &str) -> Error {
    let refuse = |message: String| Error::invalid(field, message).value(name);
    if name.is_empty() {
        return refuse("is empty".into()).hint("write an IANA name like Europe/Berlin, or UTC");
    }
    let shown: String = name.chars().take(64).collect();
    if name.eq_ignore_ascii_case("local") || name.eq_ignore_ascii_case("localtime") {
        return refuse(format!("{shown} differs from node to node"))
            .hint("write an IANA name like Europe/Berlin, or UTC");
    }
    if let Some((abbreviation, zones)) =
        ABBREVIATIONS.iter().find(|(abbreviation, _)| abbreviation.eq_ignore_ascii_case(name))
    {
        return refuse(format!("{abbreviation} is an abbreviation, which does not name one zone"))
            .hint(format!("write {}", or(zones)));
    }
    let refusal = refuse(format!("{shown:?} is not an IANA zone name"));
    if let Some(zone) = fixed_offset(name) {
        return refusal.hint(format!("write {zone}; the sign is the other way round there"));
    }
    match nearest(name) {
        zones if zones.is_empty() => refusal.hint("write a name like Europe/Berlin, or UTC"),
        zones => refusal.hint(format!("did you mean {}", or(&zones.join(", ")))),
    }
}

/// `Etc/GMT-3` for `UTC+3`, `gmt+03:00` and `+3`.
fn fixed_offset(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    let offset = lower.strip_prefix("utc").or_else(|| lower.strip_prefix("gmt")).unwrap_or(&lower).trim();
    let (sign, hours) = match offset.strip_prefix('+') {
        Some(hours) => ('-', hours),
        None => ('+', offset.strip_prefix('-')?),
    };
    let hours: u8 = hours.strip_suffix(":00").unwrap_or(hours).parse().ok()?;
    let most = if sign == '-' { 14 } else { 12 };
    (1..=most).contains(&hours).then(|| format!("Etc/GMT{sign}{hours}"))
}

/// At most three names: the same but for case and blanks, else the same city, else the most similar.
fn nearest(name: &str) -> Vec<String> {
    let wanted = plain(name);
    if wanted.is_empty() || name.len() > 64 {
        return Vec::new();
    }
    let all: Vec<(String, String)> = super::names().map(|known| (known.clone(), plain(&known))).collect();
    let pick = |is_near: &dyn Fn(&str, &str) -> bool| -> Vec<String> {
        all.iter().filter(|(known, plain)| is_near(known, plain)).map(|(known, _)| known.clone()).take(3).collect()
    };
    let same = pick(&|_, known| known == wanted);
    if !same.is_empty() {
        return same;
    }
    let same_city = pick(&|known, _| known.rsplit_once('/').is_some_and(|(_, city)| plain(city) == wanted));
    if !same_city.is_empty() {
        return same_city;
    }
    let best = all
        .iter()
        .flat_map(|(known, whole)| {
            let city = known.rsplit_once('/').map_or(0.0, |(_, city)| strsim::jaro_winkler(&plain(city), &wanted));
            [(known, strsim::jaro_winkler(whole, &wanted)), (known, city)]
        })
        .max_by(|a, b| a.1.total_cmp(&b.1));
    best.filter(|(_, similarity)| *similarity > 0.85).map(|(known, _)| vec![known.clone()]).unwrap_or_default()
}

/// Lower case letters, digits and `/+-` only: `America/New York`, `America/NewYork` and `america/new_york` are the same.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric() || "/+-".contains(*c)).flat_map(char::to_lowercase).collect()
}

/// `a, b` as `a or b`.
fn or(list: &str) -> String {
    match list.rsplit_once(", ") {
        Some((front, last)) => format!("{front} or {last}"),
        None => list.to_owned(),
    }
}
