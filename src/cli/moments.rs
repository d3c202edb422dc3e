//! Instants that people type about entries: read in the entries' own zone, the reading echoed.

use crate::cli::App;
use crate::cli::times::Wall;
use crate::domain::id::IdList;
use crate::domain::moment::{Direction, parse_moment};
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;
use crate::error::{Error, Result};
use crate::service::{Said, Service};

/// An instant about entries that exist.
///
/// # Errors
///
/// [`Error::Invalid`] about `field`: not an instant, or local while the entries have different zones.
pub async fn about(
    app: &App,
    service: &Service,
    field: &str,
    text: &str,
    ids: &IdList,
    direction: Direction,
) -> Result<Said> {
    let zones = service.zones_among(ids).await?;
    let shard = ids.page(0, 1).first().map_or(0, |id| service.store().shard_of(id));
    let now = service.store().now(shard).await?;
    read(app, field, text, &zones, now, direction)
}

/// An instant in the one zone of all that it is about; UTC where it is about nothing.
///
/// # Errors
///
/// As [`about`].
pub fn read(app: &App, field: &str, text: &str, zones: &[Zone], now: Timestamp, direction: Direction) -> Result<Said> {
    let utc = Zone::utc();
    let first = zones.first().unwrap_or(&utc);
    let at = parse_moment(field, text, first, now, direction)?;
    let other = zones.iter().find(|zone| parse_moment(field, text, zone, now, direction).ok() != Some(at));
    if let Some(other) = other {
        let why = format!("{text} is a local time, and the entries are in {first} and {other}");
        return Err(Error::invalid(field, why).value(text).hint("write it with an offset, like 2026-11-20T02:00:00Z"));
    }
    if !app.printer.is_json() && Timestamp::parse(field, text, None).is_err() {
        app.printer.note(format!("{field} {}", Wall { zone: first.clone(), now }.at(at)));
    }
    Ok(Said { at, text: text.to_owned() })
}
