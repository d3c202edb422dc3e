//! The node's own clock: shown to people as skew, and used for nothing else. Redis says what time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::timestamp::Timestamp;

/// The node's clock less the shard's, ms.
pub fn skew_ms(shard_now: Timestamp) -> i64 {
    let own = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    i64::try_from(own).unwrap_or(i64::MAX).saturating_sub(shard_now.0)
}
