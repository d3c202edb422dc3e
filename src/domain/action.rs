//! The *what* of an entry: exec, shell, http, stream, list, publish.
