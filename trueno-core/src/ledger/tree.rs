//! An append-only RFC 6962 tree, and the verification of its proofs.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use tlog_tiles::tlog;

use crate::error::{Error, ErrorKind, Result};

/// A SHA-256 hash of the tree. Text form: 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash([u8; 32]);

impl Hash {
    /// Takes over a hash read back from a store.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The hash's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// RFC 6962 leaf hash: SHA-256 of a zero byte and the leaf.
    #[must_use]
    pub fn of_leaf(leaf: &[u8]) -> Self {
        Self(tlog::record_hash(leaf).0)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bytes = HEXLOWER
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(Self)
            .ok_or_else(|| Error::invalid("hash", "needs 64 lower-case hex digits"))
    }
}

impl TryFrom<String> for Hash {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

/// An RFC 6962 tree that keeps every hash it needs for proofs of any of its sizes.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    size: u64,
    stored: Vec<tlog::Hash>,
}

impl Tree {
    /// How many leaves it has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] where the tree's own hashes do not add up.
    pub fn append(&mut self, leaf: &[u8]) -> Result<()> {
        let new = tlog::stored_hashes(self.size, leaf, &Stored(&self.stored)).map_err(corrupt)?;
        self.stored.extend(new);
        self.size += 1;
        Ok(())
    }

    /// The root over the first `size` leaves.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a size beyond the tree.
    pub fn root(&self, size: u64) -> Result<Hash> {
        self.within(size)?;
        tlog::tree_hash(size, &Stored(&self.stored))
            .map(|hash| Hash(hash.0))
            .map_err(corrupt)
    }

    /// The audit path of leaf `index` in the tree of the first `size` leaves.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for an index or size beyond the tree.
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Result<Vec<Hash>> {
        self.within(size)?;
        if index >= size {
            return Err(Error::not_found("ledger entry"));
        }
        tlog::prove_record(size, index, &Stored(&self.stored))
            .map(ours)
            .map_err(corrupt)
    }

    /// The proof that the first `new` leaves begin with the first `old` ones.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a size beyond the tree; [`ErrorKind::InvalidInput`] unless
    /// `1 <= old <= new`.
    pub fn consistency_proof(&self, old: u64, new: u64) -> Result<Vec<Hash>> {
        self.within(new)?;
        if old == 0 || old > new {
            return Err(Error::invalid("old size", "needs to be 1 to the new size"));
        }
        tlog::prove_tree(new, old, &Stored(&self.stored))
            .map(ours)
            .map_err(corrupt)
    }

    fn within(&self, size: u64) -> Result<()> {
        if size > self.size {
            Err(Error::not_found("ledger entry"))
        } else {
            Ok(())
        }
    }
}

/// Verifies that `leaf` is entry `index` of the tree of `size` leaves with this `root`.
///
/// # Errors
/// [`ErrorKind::Corrupt`] where it is not.
pub fn verify_inclusion(
    root: &Hash,
    size: u64,
    index: u64,
    leaf: &[u8],
    proof: &[Hash],
) -> Result<()> {
    tlog::check_record(
        &theirs(proof),
        size,
        tlog::Hash(root.0),
        index,
        tlog::record_hash(leaf),
    )
    .map_err(corrupt)
}

/// Verifies that the tree of `new` leaves begins with the tree of `old` leaves.
///
/// # Errors
/// [`ErrorKind::Corrupt`] where it does not.
pub fn verify_consistency(
    old_root: &Hash,
    old: u64,
    new_root: &Hash,
    new: u64,
    proof: &[Hash],
) -> Result<()> {
    let (old_root, new_root) = (tlog::Hash(old_root.0), tlog::Hash(new_root.0));
    tlog::check_tree(&theirs(proof), new, new_root, old, old_root).map_err(corrupt)
}

struct Stored<'a>(&'a [tlog::Hash]);

impl tlog::HashReader for Stored<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        indexes
            .iter()
            .map(|index| {
                usize::try_from(*index)
                    .ok()
                    .and_then(|index| self.0.get(index).copied())
                    .ok_or(tlog::Error::IndexesNotInTree)
            })
            .collect()
    }
}

fn ours(hashes: Vec<tlog::Hash>) -> Vec<Hash> {
    hashes.into_iter().map(|hash| Hash(hash.0)).collect()
}

fn theirs(hashes: &[Hash]) -> Vec<tlog::Hash> {
    hashes.iter().map(|hash| tlog::Hash(hash.0)).collect()
}

fn corrupt(source: tlog::Error) -> Error {
    Error::new(ErrorKind::Corrupt, "the ledger's hashes do not match").with_source(source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The eight leaves and roots of the Certificate Transparency project's own Merkle tests
    /// (certificate-transparency-go, `merkletree` test vectors; also in RFC 9162 implementations).
    #[test]
    fn roots_match_the_certificate_transparency_vectors() {
        let leaves = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Tree::default();
        for (leaf, root) in leaves.iter().zip(roots) {
            tree.append(&HEXLOWER.decode(leaf.as_bytes()).unwrap())
                .unwrap();
            assert_eq!(tree.root(tree.size()).unwrap().to_string(), root);
        }
    }

    proptest! {
        #[test]
        fn proofs_verify_and_a_changed_leaf_does_not(
            leaves in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..40),
            pick in any::<prop::sample::Index>(),
        ) {
            let mut tree = Tree::default();
            for leaf in &leaves {
                tree.append(leaf).unwrap();
            }
            let (size, index) = (tree.size(), pick.index(leaves.len()));
            let root = tree.root(size).unwrap();
            let proof = tree.inclusion_proof(index as u64, size).unwrap();
            prop_assert!(verify_inclusion(&root, size, index as u64, &leaves[index], &proof).is_ok());
            let mut forged = leaves[index].clone();
            forged.push(1);
            prop_assert!(verify_inclusion(&root, size, index as u64, &forged, &proof).is_err());
            let old = index as u64 + 1;
            let consistency = tree.consistency_proof(old, size).unwrap();
            let old_root = tree.root(old).unwrap();
            prop_assert!(verify_consistency(&old_root, old, &root, size, &consistency).is_ok());
        }
    }

    #[test]
    fn sizes_beyond_the_tree_are_not_found() {
        let mut tree = Tree::default();
        tree.append(b"a").unwrap();
        assert_eq!(tree.root(2).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(
            tree.inclusion_proof(1, 1).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert_eq!(
            tree.consistency_proof(0, 1).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    }
}
