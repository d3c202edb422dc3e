//! Cron expressions: a strict parser over crate `cron`.
