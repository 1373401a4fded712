//! What is allowed by name only, pinned in files that are reviewed.

use std::path::Path;

use sqlx::postgres::PgConnection;

use super::rule::lines;

/// A file under `tests/golden/` and the query over the rules' prelude that answers its lines.
#[derive(Debug)]
pub(crate) struct Golden {
    file: &'static str,
    says: &'static str,
    sql: &'static str,
}

/// Every golden file.
pub(crate) const ALL: [Golden; 4] = [
    Golden {
        file: "grants.txt",
        says: "role | privilege | object (columns)",
        sql: "select grantee || ' | ' || lower(privilege) || ' | ' || kind || ' ' || object
                || coalesce(' (' || columns || ')', '')
            from privilege where kind <> 'function'",
    },
    Golden {
        file: "functions.txt",
        says: "function | rights it runs with | owner | volatility | who may call it",
        sql: "select regexp_replace(p.oid::regprocedure::text, '^trueno\\.', '') || ' | '
                || case when p.prosecdef then 'definer' else 'invoker' end || ' | '
                || coalesce(o.name, p.proowner::regrole::text) || ' | '
                || case p.provolatile when 'v' then 'volatile' when 's' then 'stable'
                    else 'immutable' end || ' | '
                || coalesce((
                    select string_agg(x.grantee, ' ' order by x.grantee) from privilege x
                    where x.kind = 'function'
                        and x.object = regexp_replace(p.oid::regprocedure::text, '^trueno\\.', '')
                ), 'nobody')
            from pg_proc p left join role o on o.oid = p.proowner
            where p.pronamespace = (select oid from home)",
    },
    Golden {
        file: "policies.txt",
        says: "policy of a table without tenant data | command | roles | using | check",
        sql: "select r.name || '.' || p.polname || ' | ' || p.polcmd::text || ' | '
                || (select string_agg(x.name, ' ' order by x.name) from role x
                    where x.oid = any (p.polroles)) || ' | '
                || coalesce(pg_get_expr(p.polqual, p.polrelid), '-') || ' | '
                || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '-')
            from pg_policy p join relation r on r.oid = p.polrelid
            where r.name in (select name from shared)",
    },
    Golden {
        file: "triggers.txt",
        says: "table.trigger | function",
        sql: "select r.name || '.' || t.tgname || ' | '
                || regexp_replace(t.tgfoid::regprocedure::text, '^trueno\\.', '')
            from pg_trigger t join relation r on r.oid = t.tgrelid
            where not t.tgisinternal and t.tgparentid = 0",
    },
];

impl Golden {
    /// Lines that are there and not in the file (`+`), and the other way round (`-`).
    pub(crate) async fn difference(&self, connection: &mut PgConnection) -> Vec<String> {
        let actual = lines(connection, self.sql).await;
        let pinned = self.pinned();
        let missing = pinned
            .iter()
            .filter(|line| !actual.contains(line))
            .map(|line| format!("- {line}"));
        let new = actual
            .iter()
            .filter(|line| !pinned.contains(line))
            .map(|line| format!("+ {line}"));
        missing.chain(new).collect()
    }

    /// Fails where the file says something else; writes it anew under `TRUENO_BLESS=1`.
    pub(crate) async fn compare(&self, connection: &mut PgConnection) {
        if std::env::var("TRUENO_BLESS").is_ok_and(|value| value == "1") {
            let mut text = format!("# {}\n", self.says);
            for line in lines(connection, self.sql).await {
                text.push_str(&line);
                text.push('\n');
            }
            std::fs::write(self.path(), text).unwrap();
        }
        let difference = self.difference(connection).await;
        assert!(
            difference.is_empty(),
            "tests/golden/{} differs; if that is meant, run with TRUENO_BLESS=1 and review it:\n{}",
            self.file,
            difference.join("\n")
        );
    }

    /// The file's name.
    pub(crate) fn file(&self) -> &'static str {
        self.file
    }

    fn path(&self) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden")
            .join(self.file)
    }

    fn pinned(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path())
            .unwrap_or_else(|error| panic!("tests/golden/{}: {error}", self.file));
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .map(str::to_owned)
            .collect()
    }
}
