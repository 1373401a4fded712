//! Benchmarks of Trueno: see the README of this folder. The library itself is empty.
