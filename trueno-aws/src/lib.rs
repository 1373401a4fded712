//! AWS adapter of Trueno: read-only sessions, collectors, checks and prices.

pub mod facts;
