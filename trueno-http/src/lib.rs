//! trueno-http
