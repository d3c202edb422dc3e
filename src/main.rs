//! The `upbeat` program.

fn main() {}
