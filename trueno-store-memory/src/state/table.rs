//! A table whose rows are shared, and an overlay of changes that are not committed yet.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Rows by key. Cloning shares them; the first change after that copies the index, never the rows.
#[derive(Debug)]
pub(crate) struct Table<K, R>(Arc<BTreeMap<K, Arc<R>>>);

impl<K, R> Clone for Table<K, R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, R> Default for Table<K, R> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Ord, R> Table<K, R> {
    pub(crate) fn get(&self, key: &K) -> Option<&Arc<R>> {
        self.0.get(key)
    }

    /// Every row, in the order of their keys.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&K, &Arc<R>)> {
        self.0.iter()
    }

    /// Takes rows away, at once and for everybody.
    pub(crate) fn forget(&mut self, keys: &[K])
    where
        K: Clone,
    {
        if !keys.is_empty() {
            let rows = Arc::make_mut(&mut self.0);
            keys.iter().for_each(|key| drop(rows.remove(key)));
        }
    }
}

/// What a draft did to one row: the row it saw, and the one it wants there.
#[derive(Debug)]
struct Write<R> {
    seen: Option<Arc<R>>,
    now: Option<Arc<R>>,
}

/// How a row that a draft relied on differs from what it saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clash {
    /// There was none, and now there is one.
    Appeared,
    /// It was changed or removed.
    Changed,
}

/// A table as of one moment, with changes on top that nobody else sees.
#[derive(Debug)]
pub(crate) struct Overlay<K, R> {
    base: Table<K, R>,
    writes: BTreeMap<K, Write<R>>,
}

impl<K: Ord + Clone, R> Overlay<K, R> {
    pub(crate) fn over(base: &Table<K, R>) -> Self {
        Self {
            base: base.clone(),
            writes: BTreeMap::new(),
        }
    }

    /// The removal of every row of a table.
    pub(crate) fn emptying(base: &Table<K, R>) -> Self {
        let removed = |row: &Arc<R>| Write {
            seen: Some(row.clone()),
            now: None,
        };
        Self {
            base: base.clone(),
            writes: base
                .rows()
                .map(|(key, row)| (key.clone(), removed(row)))
                .collect(),
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&Arc<R>> {
        match self.writes.get(key) {
            Some(write) => write.now.as_ref(),
            None => self.base.get(key),
        }
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Adds or replaces a row.
    pub(crate) fn put(&mut self, key: K, row: impl Into<Arc<R>>) {
        self.write(key).now = Some(row.into());
    }

    pub(crate) fn remove(&mut self, key: K) {
        self.write(key).now = None;
    }

    /// Changes nothing, and still has the commit check that the row is as it was.
    pub(crate) fn rely_on(&mut self, key: K) {
        self.write(key);
    }

    /// True where this draft added the row.
    pub(crate) fn added(&self, key: &K) -> bool {
        self.writes
            .get(key)
            .is_some_and(|write| write.seen.is_none() && write.now.is_some())
    }

    /// True where this draft wrote the row or relies on it: its commit checks that nobody else did.
    pub(crate) fn touched(&self, key: &K) -> bool {
        self.writes.contains_key(key)
    }

    fn write(&mut self, key: K) -> &mut Write<R> {
        let Self { base, writes } = self;
        writes.entry(key).or_insert_with_key(|key| {
            let seen = base.get(key).cloned();
            Write {
                now: seen.clone(),
                seen,
            }
        })
    }

    /// Rows from `start` on, in the order of their keys.
    pub(crate) fn rows_from<'a>(
        &'a self,
        start: Bound<&K>,
    ) -> impl Iterator<Item = (&'a K, &'a Arc<R>)> + use<'a, K, R> {
        let range = (start, Bound::Unbounded);
        let mut base = self.base.0.range(range).peekable();
        let mut writes = self.writes.range(range).peekable();
        std::iter::from_fn(move || {
            loop {
                let order = match (base.peek(), writes.peek()) {
                    (Some((old, _)), Some((new, _))) => old.cmp(new),
                    (Some(_), None) => Ordering::Less,
                    (None, _) => Ordering::Greater,
                };
                match order {
                    Ordering::Less => return base.next(),
                    // The write stands for the row below it.
                    Ordering::Equal => drop(base.next()),
                    Ordering::Greater => {}
                }
                let (key, write) = writes.next()?;
                if let Some(row) = &write.now {
                    return Some((key, row));
                }
            }
        })
    }

    /// Every change: the row as it was seen, and the row as it will be.
    pub(crate) fn changes(&self) -> impl Iterator<Item = (&K, Option<&Arc<R>>, Option<&Arc<R>>)> {
        self.writes
            .iter()
            .map(|(key, write)| (key, write.seen.as_ref(), write.now.as_ref()))
    }

    /// Checks that every row that was written or relied on is the very row that was seen.
    pub(crate) fn check(&self, current: &Table<K, R>) -> Result<(), Clash> {
        for (key, write) in &self.writes {
            match (&write.seen, current.get(key)) {
                (None, None) => {}
                (Some(seen), Some(present)) if Arc::ptr_eq(seen, present) => {}
                (None, Some(_)) => return Err(Clash::Appeared),
                (Some(_), _) => return Err(Clash::Changed),
            }
        }
        Ok(())
    }

    /// Makes the changes.
    pub(crate) fn apply(self, current: &mut Table<K, R>) {
        let Self { base, writes } = self;
        // Held any longer, it would have the index copied.
        drop(base);
        if writes.is_empty() {
            return;
        }
        let rows = Arc::make_mut(&mut current.0);
        for (key, write) in writes {
            match write.now {
                Some(row) => rows.insert(key, row),
                None => rows.remove(&key),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(u8, &'static str)]) -> Table<u8, &'static str> {
        Table(Arc::new(
            rows.iter()
                .map(|(key, row)| (*key, Arc::new(*row)))
                .collect(),
        ))
    }

    fn rows(overlay: &Overlay<u8, &'static str>, start: Bound<&u8>) -> Vec<(u8, &'static str)> {
        overlay
            .rows_from(start)
            .map(|(key, row)| (*key, **row))
            .collect()
    }

    #[test]
    fn an_overlay_reads_as_the_table_with_its_changes() {
        let mut overlay = Overlay::over(&table(&[(1, "a"), (3, "c"), (5, "e")]));
        overlay.put(0, "new");
        overlay.put(3, "C");
        overlay.put(4, "d");
        overlay.remove(5);
        overlay.put(9, "last");
        let all = [(0, "new"), (1, "a"), (3, "C"), (4, "d"), (9, "last")];
        assert_eq!(rows(&overlay, Bound::Unbounded), all);
        assert_eq!(rows(&overlay, Bound::Excluded(&3)), all[3..]);
        assert_eq!(rows(&overlay, Bound::Included(&3)), all[2..]);
        assert_eq!(overlay.get(&5), None);
        assert!(overlay.added(&4) && !overlay.added(&3) && !overlay.added(&1));
    }

    #[test]
    fn a_row_that_changed_underneath_clashes_and_others_do_not() {
        let mut current = table(&[(1, "a"), (2, "b")]);
        let mut first = Overlay::over(&current);
        let (mut second, mut third) = (Overlay::over(&current), Overlay::over(&current));
        let mut fourth = Overlay::over(&current);
        first.put(1, "A");
        first.put(7, "G");
        second.put(7, "g");
        third.rely_on(1);
        fourth.put(2, "B");
        assert_eq!(first.check(&current), Ok(()));
        first.apply(&mut current);
        assert_eq!(second.check(&current), Err(Clash::Appeared));
        assert_eq!(third.check(&current), Err(Clash::Changed));
        assert_eq!(fourth.check(&current), Ok(()));
    }

    #[test]
    fn emptying_takes_every_row_that_is_there() {
        let mut current = table(&[(1, "a"), (2, "b")]);
        let emptying = Overlay::emptying(&current);
        assert_eq!(rows(&emptying, Bound::Unbounded), []);
        assert!(emptying.touched(&1) && !emptying.touched(&3));
        let changes: Vec<_> = emptying
            .changes()
            .map(|(key, before, after)| (*key, before.map(|row| **row), after.is_some()))
            .collect();
        assert_eq!(changes, [(1, Some("a"), false), (2, Some("b"), false)]);
        assert_eq!(emptying.check(&current), Ok(()));
        emptying.apply(&mut current);
        assert_eq!(current.rows().count(), 0);
    }

    #[test]
    fn a_snapshot_does_not_see_what_is_applied_later() {
        let mut current = table(&[(1, "a")]);
        let snapshot = Overlay::over(&current);
        let mut change = Overlay::over(&current);
        change.put(1, "b");
        change.put(2, "c");
        change.apply(&mut current);
        assert_eq!(rows(&snapshot, Bound::Unbounded), [(1, "a")]);
        assert_eq!(
            rows(&Overlay::over(&current), Bound::Unbounded),
            [(1, "b"), (2, "c")]
        );
    }
}
