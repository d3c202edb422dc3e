//! Time zones by IANA name, over bundled zone data.
