//! stuck.
