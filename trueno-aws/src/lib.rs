//! trueno-aws
