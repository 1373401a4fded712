//! trueno-testkit
