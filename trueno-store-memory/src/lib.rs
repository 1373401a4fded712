//! trueno-store-memory
