//! The ledger's Merkle tree: RFC 6962 hashes over RFC 8785 leaves.
//!
//! The tree arithmetic is `tlog_tiles`', the port of Go's `sumdb/tlog` that Certificate
//! Transparency logs run on; this module gives it Trueno's types and an in-memory tree.

mod tree;

pub use tree::{Hash, Tree, verify_consistency, verify_inclusion};
