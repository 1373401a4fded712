//! trueno-core
