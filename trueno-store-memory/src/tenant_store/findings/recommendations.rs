//! Recommendations: worked out from the findings that stand, an account at a time.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::{Deserialize, Serialize};
use trueno_core::error::Result;
use trueno_core::id::CloudAccountId;
use trueno_core::model::{Finding, Recommendation, Region};
use trueno_core::port::{Page, PageRequest};
use trueno_core::state::finding::stands;

use crate::state::Draft;
use crate::tenant_store::cursor::{cursor_at, key_of};

const NAME: &str = "recommendations";

/// What excludes each other: account, region and group. A group's name holds a native id, which is
/// unique in its region only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Group {
    account: CloudAccountId,
    region: Region,
    /// The conflict group, or the key of a finding that has none.
    name: String,
    /// Keeps the two kinds of names apart.
    alone: bool,
}

impl Group {
    fn of(row: &Finding) -> Self {
        let group = row.draft.conflict_group.as_ref();
        Self {
            account: row.account,
            region: row.draft.resource.region.clone(),
            name: group.unwrap_or(&row.draft.key).clone(),
            alone: group.is_none(),
        }
    }
}

/// The best finding of a group so far, and how many it excludes.
struct Best<'a> {
    row: &'a Finding,
    alternatives: u64,
}

impl<'a> Best<'a> {
    fn of(row: &'a Finding) -> Self {
        Self {
            row,
            alternatives: 0,
        }
    }

    /// Rows come in the order of their keys: of equal savings, the first stays.
    fn or(&mut self, row: &'a Finding) {
        self.alternatives += 1;
        // Unknown is less than every amount, also than a negative one.
        if micros(row) > micros(self.row) {
            self.row = row;
        }
    }

    fn recommendation(&self) -> Recommendation {
        let row = self.row;
        Recommendation {
            account: row.account,
            finding: row.id,
            key: row.draft.key.clone(),
            check: row.draft.check.clone(),
            resource: row.draft.resource.clone(),
            monthly_saving: row.draft.monthly_saving.clone(),
            alternatives: self.alternatives,
        }
    }
}

fn micros(row: &Finding) -> Option<i64> {
    row.draft.monthly_saving.amount().map(|money| money.micros)
}

impl Draft {
    /// Holds the groups of one account at a time.
    pub(super) fn recommendation_page(
        &self,
        account: Option<CloudAccountId>,
        page: &PageRequest,
    ) -> Result<Page<Recommendation>> {
        let after = page.cursor().map(|cursor| key_of::<Group>(NAME, cursor));
        let after = after.transpose()?;
        let start = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let first_account = account.or(after.as_ref().map(|group| group.account));
        let mut rows = self
            .findings_from(first_account)
            .take_while(|row| account.is_none_or(|wanted| wanted == row.account))
            .filter(|row| stands(row.status))
            .peekable();
        let mut items = Vec::new();
        let mut last = None;
        while let Some(current) = rows.peek().map(|row| row.account) {
            let mut groups: BTreeMap<Group, Best<'_>> = BTreeMap::new();
            while let Some(row) = rows.next_if(|row| row.account == current) {
                groups
                    .entry(Group::of(row))
                    .and_modify(|best| best.or(row))
                    .or_insert_with(|| Best::of(row));
            }
            for (group, best) in groups.range((start, Bound::Unbounded)) {
                if items.len() == page.limit() {
                    let next = last.map(|group| cursor_at(NAME, &group)).transpose()?;
                    return Ok(Page { items, next });
                }
                items.push(best.recommendation());
                last = Some(group.clone());
            }
        }
        Ok(Page { items, next: None })
    }
}
