//! why: each answer from records, with what can be done about it.
