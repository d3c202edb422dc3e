//! why not.
