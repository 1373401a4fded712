//! Which case holds a method to P1.

/// How a method of a port is held to isolation (P1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// By the case of this name.
    Case(&'static str),
    /// By none, for this reason.
    None(&'static str),
}
