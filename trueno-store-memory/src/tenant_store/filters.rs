//! Parts of filters that several lists share.

use std::collections::BTreeMap;

use trueno_core::error::{Error, Result};
use trueno_core::port::TagFilter;

/// Passes a tag that can be asked for.
pub(super) fn valid_tag(wanted: Option<&TagFilter>) -> Result<()> {
    wanted.map_or(Ok(()), |tag| {
        let value = tag.value.iter();
        value
            .chain([&tag.key])
            .try_for_each(|text| no_nul("tag", text))
    })
}

/// Passes a text that something stored could be: limits let no NUL in.
pub(super) fn no_nul(field: &str, text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::invalid(
            field,
            "holds a NUL, which nothing stored does",
        ));
    }
    Ok(())
}

/// Whether it is what is wanted, if something is.
pub(super) fn is_or_any<T: PartialEq>(wanted: Option<&T>, is: &T) -> bool {
    wanted.is_none_or(|wanted| wanted == is)
}

/// Whether `tags` has the tag that is wanted, if one is.
pub(super) fn has_tag(wanted: Option<&TagFilter>, tags: &BTreeMap<String, String>) -> bool {
    wanted.is_none_or(|wanted| {
        tags.get(&wanted.key)
            .is_some_and(|is| wanted.value.as_ref().is_none_or(|value| value == is))
    })
}
