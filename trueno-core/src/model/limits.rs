//! How large what is stored may be: checked by every adapter before anything is written, so that
//! bad input gets the same message everywhere.
//!
//! Sizes are generous multiples of what providers allow, so that a provider's own data passes: AWS
//! has 50 tags a resource with keys of 128 and values of 256 characters
//! (<https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html>), besides those that it
//! adds itself.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Coverage, EventDraft, FindingDraft, Resource, ResourceRef};
use crate::error::{Error, Result};
use crate::money::Saving;

/// Characters of a provider's own id of a resource, and of a name.
pub const NAME_CHARACTERS: usize = 2_048;
/// Tags of one resource.
pub const TAGS: usize = 256;
/// Characters of a tag's key.
pub const TAG_KEY_CHARACTERS: usize = 256;
/// Characters of a tag's value.
pub const TAG_VALUE_CHARACTERS: usize = 1_024;
/// Bytes of a resource's attributes, of a finding's evidence and of an event's details, as JSON.
pub const JSON_BYTES: usize = 256 * 1_024;
/// How deep such JSON may be nested.
pub const JSON_DEPTH: usize = 64;
/// Characters of a finding's key: part of an index, whose rows hold 2,704 bytes.
pub const KEY_CHARACTERS: usize = 512;
/// Bytes of a checkpoint: opaque to all but the scanner.
pub const CHECKPOINT_BYTES: usize = 64 * 1_024;
/// Bytes of a native id: part of an index.
pub const NATIVE_ID_BYTES: usize = 1_024;

/// Passes a resource that can be stored.
///
/// # Errors
/// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput) that names the field, and the
/// resource by its native id (shortened).
pub fn resource(resource: &Resource) -> Result<()> {
    reference("resource", &resource.reference)?;
    let of = |field: &str| {
        format!(
            "{field} of resource {}",
            short(&resource.reference.native_id)
        )
    };
    optional_name(|| of("name"), resource.name.as_deref())?;
    tags(|| of("tags"), &resource.tags)?;
    json(|| of("attributes"), &resource.attributes)
}

/// Passes a finding that can be stored.
///
/// # Errors
/// As [`resource`].
pub fn finding(finding: &FindingDraft) -> Result<()> {
    finding_key(&finding.key)?;
    let of = |field: &str| format!("{field} of finding {}", short(&finding.key));
    text(|| of("check"), &finding.check, 200)?;
    text(|| of("parameters_hash"), &finding.parameters_hash, 128)?;
    reference("finding", &finding.resource)?;
    optional_name(|| of("name"), finding.name.as_deref())?;
    tags(|| of("tags"), &finding.tags)?;
    object(|| of("evidence"), &finding.evidence)?;
    if let Saving::Known { origin, .. } = &finding.monthly_saving {
        text(|| of("monthly_saving"), &origin.source, NAME_CHARACTERS)?;
    }
    match &finding.conflict_group {
        Some(group) => text(|| of("conflict_group"), group, KEY_CHARACTERS),
        None => Ok(()),
    }
}

/// Passes a key that a finding may have.
///
/// # Errors
/// [`ErrorKind::InvalidInput`](crate::error::ErrorKind::InvalidInput).
pub fn finding_key(key: &str) -> Result<()> {
    text(|| "key of a finding".to_owned(), key, KEY_CHARACTERS)
}

/// Passes coverage that can be stored.
///
/// # Errors
/// As [`resource`].
pub fn coverage(coverage: &Coverage) -> Result<()> {
    let of = |field: &str| format!("{field} of coverage of {}", coverage.task.kind);
    text(|| of("service"), &coverage.task.service, 80)?;
    if let Some(code) = &coverage.error_code {
        text(|| of("error_code"), code, NAME_CHARACTERS)?;
    }
    match &coverage.checkpoint {
        Some(checkpoint) if checkpoint.len() > CHECKPOINT_BYTES || checkpoint.contains('\0') => {
            Err(Error::invalid(
                &of("checkpoint"),
                "needs at most 65536 bytes and no NUL",
            ))
        }
        _ => Ok(()),
    }
}

/// Passes an audit event that can be stored.
///
/// # Errors
/// As [`resource`].
pub fn event(event: &EventDraft) -> Result<()> {
    if event.targets.is_empty() || event.targets.len() > 1_000 {
        return Err(Error::invalid(
            "targets",
            "of an event need to be 1 to 1000",
        ));
    }
    for target in &event.targets {
        text(|| "kind of a target".to_owned(), &target.kind, 64)?;
        text(|| "id of a target".to_owned(), &target.id, KEY_CHARACTERS)?;
    }
    object(|| "details of an event".to_owned(), &event.details)
}

fn reference(what: &str, reference: &ResourceRef) -> Result<()> {
    let field = || format!("native_id of a {what}");
    text(field, &reference.native_id, NATIVE_ID_BYTES)?;
    if reference.native_id.len() > NATIVE_ID_BYTES {
        return Err(Error::invalid(&field(), "needs at most 1024 bytes"));
    }
    Ok(())
}

fn optional_name(field: impl Fn() -> String, name: Option<&str>) -> Result<()> {
    match name {
        Some(name) if is_longer(name, NAME_CHARACTERS) || name.contains('\0') => {
            Err(Error::invalid(
                &field(),
                &format!("needs at most {NAME_CHARACTERS} characters and no NUL"),
            ))
        }
        _ => Ok(()),
    }
}

fn text(field: impl Fn() -> String, text: &str, most: usize) -> Result<()> {
    if text.is_empty() || is_longer(text, most) || text.chars().any(char::is_control) {
        return Err(Error::invalid(
            &field(),
            &format!("needs 1 to {most} characters without control characters"),
        ));
    }
    Ok(())
}

/// Whether it has more than `most` characters. No text has more of them than bytes, which are not counted.
fn is_longer(text: &str, most: usize) -> bool {
    text.len() > most && text.chars().count() > most
}

fn tags(field: impl Fn() -> String, tags: &BTreeMap<String, String>) -> Result<()> {
    if tags.len() > TAGS {
        return Err(Error::invalid(
            &field(),
            &format!("need to be {TAGS} at most"),
        ));
    }
    for (key, value) in tags {
        if is_longer(key, TAG_KEY_CHARACTERS)
            || is_longer(value, TAG_VALUE_CHARACTERS)
            || key.contains('\0')
            || value.contains('\0')
        {
            return Err(Error::invalid(
                &field(),
                &format!(
                    "need keys of at most {TAG_KEY_CHARACTERS} and values of at most \
                     {TAG_VALUE_CHARACTERS} characters without NUL; {} is not so",
                    short(key)
                ),
            ));
        }
    }
    Ok(())
}

fn object(field: impl Fn() -> String, object: &serde_json::Map<String, Value>) -> Result<()> {
    let mut left = JSON_BYTES;
    for (key, value) in object {
        measure(&field, key, value, JSON_DEPTH - 1, &mut left)?;
    }
    Ok(())
}

fn json(field: impl Fn() -> String, value: &Value) -> Result<()> {
    let mut left = JSON_BYTES;
    measure(&field, "", value, JSON_DEPTH, &mut left)
}

/// Walks `value`, without writing it out: how many bytes it takes as JSON at the least, NUL and
/// depth.
fn measure(
    field: &impl Fn() -> String,
    key: &str,
    value: &Value,
    depth: usize,
    left: &mut usize,
) -> Result<()> {
    let mut take = |bytes: usize| {
        *left = left.checked_sub(bytes).ok_or_else(|| {
            Error::invalid(
                &field(),
                &format!("needs at most {} KiB as JSON", JSON_BYTES / 1_024),
            )
        })?;
        Ok::<(), Error>(())
    };
    let no_nul = |text: &str| {
        if text.contains('\0') {
            return Err(Error::invalid(
                &field(),
                "holds a NUL, which cannot be stored",
            ));
        }
        Ok(())
    };
    no_nul(key)?;
    take(key.len() + 3)?;
    let deeper = || {
        depth.checked_sub(1).ok_or_else(|| {
            Error::invalid(
                &field(),
                &format!("is nested deeper than {JSON_DEPTH} levels"),
            )
        })
    };
    match value {
        Value::Null | Value::Bool(_) => take(4),
        Value::Number(_) => take(1),
        Value::String(text) => {
            no_nul(text)?;
            take(text.len() + 2)
        }
        Value::Array(items) => {
            let depth = deeper()?;
            items
                .iter()
                .try_for_each(|item| measure(field, "", item, depth, left))
        }
        Value::Object(entries) => {
            let depth = deeper()?;
            entries
                .iter()
                .try_for_each(|(key, value)| measure(field, key, value, depth, left))
        }
    }
}

fn short(text: &str) -> String {
    let shown: String = text
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .take(40)
        .collect();
    if shown.len() < text.len() {
        format!("{shown}…")
    } else {
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn volume(attributes: Value) -> Resource {
        Resource {
            reference: ResourceRef {
                kind: "ec2.volume".parse().unwrap(),
                region: "eu-west-1".parse().unwrap(),
                native_id: "vol-1".to_owned(),
            },
            name: None,
            tags: BTreeMap::new(),
            attributes,
        }
    }

    fn refused(resource_: &Resource) -> String {
        resource(resource_).unwrap_err().to_string()
    }

    #[test]
    fn what_is_too_large_is_refused_with_its_field() {
        let large = volume(json!({"a": ["x".repeat(10_000_000)]}));
        assert_eq!(
            refused(&large),
            "attributes of resource vol-1: needs at most 256 KiB as JSON"
        );
        let mut nested = json!(1);
        for _ in 0..65 {
            nested = json!([nested]);
        }
        assert_eq!(
            refused(&volume(nested)),
            "attributes of resource vol-1: is nested deeper than 64 levels"
        );
        let mut tagged = volume(json!({}));
        tagged.tags = (0..257).map(|i| (i.to_string(), String::new())).collect();
        assert!(refused(&tagged).starts_with("tags of resource vol-1: need to be 256"));
        tagged.tags = [("k".to_owned(), "v".repeat(1_025))].into();
        assert!(refused(&tagged).ends_with("k is not so"));
    }

    #[test]
    fn nul_is_refused_wherever_it_hides() {
        for hidden in [
            json!("\0"),
            json!([["\0"]]),
            json!({"\0": 1}),
            json!({"a": {"b": "x\0"}}),
        ] {
            assert!(refused(&volume(hidden)).contains("holds a NUL"));
        }
        let mut named = volume(json!({}));
        named.name = Some("\0".to_owned());
        assert!(refused(&named).starts_with("name of resource vol-1"));
        named.name = None;
        named.reference.native_id = "vol\0".to_owned();
        assert!(refused(&named).starts_with("native_id of a resource"));
    }

    #[test]
    fn what_providers_allow_passes() {
        let mut full = volume(json!({"state": "in-use", "size": 8, "list": [1, null, true]}));
        full.name = Some("n".repeat(255));
        full.tags = (0..50)
            .map(|i| (format!("{i:0>128}"), "ü".repeat(256)))
            .collect();
        resource(&full).unwrap();
    }
}
