//! Resources as they are sent, with their JSON and digests.

use std::ops::Range;

use sha2::{Digest as _, Sha256};
use trueno_core::error::{Error, Result};
use trueno_core::model::Resource;

/// JSON of one statement, in bytes: what is held of a batch besides the batch itself.
const BATCH_BYTES: usize = 4 * 1_024 * 1_024;

/// Resources of one statement, and their JSON.
pub(super) struct Batch<'a> {
    pub(super) sent: Vec<Sent<'a>>,
    /// Tags and attributes of all of them, one after the other.
    pub(super) json: String,
}

/// A resource as it is sent.
pub(super) struct Sent<'a> {
    pub(super) native_id: &'a str,
    pub(super) name: Option<String>,
    /// Where its tags lie in the batch's JSON.
    pub(super) tags: Range<usize>,
    /// Where its attributes lie there.
    pub(super) attributes: Range<usize>,
    pub(super) digest: [u8; 32],
}

impl<'a> Batch<'a> {
    /// Takes as many resources as the JSON of one statement holds, if there are any. Each is written out
    /// and let go of while it is at hand: to do so later takes several times as long.
    pub(super) fn take(
        resources: &mut impl Iterator<Item = (&'a String, Resource)>,
    ) -> Result<Option<Self>> {
        let mut sent = Vec::with_capacity(resources.size_hint().0);
        let mut json = Vec::new();
        while json.len() < BATCH_BYTES {
            let Some((native_id, resource)) = resources.next() else {
                break;
            };
            let tags = write_json(&mut json, &resource.tags)?;
            let attributes = write_json(&mut json, &resource.attributes)?;
            let name = resource.name;
            let mut digest = Sha256::new();
            // Lengths before texts: one reading only.
            for text in [
                name.as_deref().unwrap_or_default().as_bytes(),
                &json[tags.clone()],
                &json[attributes.clone()],
            ] {
                digest.update((text.len() as u64).to_be_bytes());
                digest.update(text);
            }
            digest.update([u8::from(name.is_some())]);
            sent.push(Sent {
                native_id,
                name,
                tags,
                attributes,
                digest: digest.finalize().into(),
            });
        }
        if sent.is_empty() {
            return Ok(None);
        }
        let json = String::from_utf8(json).map_err(not_json)?;
        Ok(Some(Self { sent, json }))
    }
}

/// Appends a value. Answers where it lies.
fn write_json(json: &mut Vec<u8>, value: &impl serde::Serialize) -> Result<Range<usize>> {
    let start = json.len();
    serde_json::to_writer(&mut *json, value).map_err(not_json)?;
    Ok(start..json.len())
}

fn not_json(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::invalid("resource", "cannot be written as JSON").with_source(source)
}
