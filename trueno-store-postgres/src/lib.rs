//! trueno-store-postgres
