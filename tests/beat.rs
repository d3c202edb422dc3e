//! Moving in from Celery beat, judged by Celery itself: the same instants, the same messages, or a reason.

#![allow(clippy::unwrap_used)]

mod support;

#[path = "beat/django.rs"]
mod django;
#[path = "beat/exporter.rs"]
mod exporter;
#[path = "beat/times.rs"]
mod times;
#[path = "beat/transcript.rs"]
mod transcript;
