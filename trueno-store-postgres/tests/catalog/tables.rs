//! Tables of tenant data, and their keys.

use super::rule::Rule;

pub(crate) const RULES: [Rule; 10] = [
    Rule {
        name: "organization_column",
        says: "tenant tables have organization_id uuid not null; a table without tenant data is \
               added to `shared` in this test, with the reason",
        sql: "select name from tenant t where not exists (
                select from pg_attribute a where a.attrelid = t.oid
                    and a.attname = 'organization_id' and a.atttypid = 'uuid'::regtype
                    and a.attnotnull and not a.attisdropped
            )",
    },
    Rule {
        name: "table_without_primary_key",
        says: "every table has one",
        sql: "select name from relation r where kind in ('r', 'p')
            and not exists (select from pg_constraint where conrelid = r.oid and contype = 'p')",
    },
    Rule {
        name: "key_by_organization",
        says: "organization_id comes first in every primary key, unique constraint, unique index \
               and exclusion constraint: another key tells of other organizations' rows",
        sql: "select t.name || '.' || i.indexrelid::regclass::text from pg_index i
            join tenant t on t.oid = i.indrelid
            left join pg_attribute a on a.attrelid = t.oid and a.attnum = i.indkey[0]
            where (i.indisunique or i.indisexclusion)
                and a.attname is distinct from 'organization_id'",
    },
    Rule {
        name: "foreign_key_by_organization",
        says: "organization_id comes first on both sides of every foreign key",
        sql: "select t.name || '.' || c.conname from pg_constraint c
            join tenant t on t.oid = c.conrelid
            join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
            join pg_attribute b on b.attrelid = c.confrelid and b.attnum = c.confkey[1]
            where c.contype = 'f'
                and (a.attname <> 'organization_id' or b.attname <> 'organization_id')",
    },
    Rule {
        name: "foreign_key_of_shared_table",
        says: "tables without tenant data and tables with it do not refer to each other, lookups apart",
        sql: "select c.conrelid::regclass::text || '.' || c.conname from pg_constraint c
            join relation f on f.oid = c.conrelid
            where c.contype = 'f' and f.name not in (select name from lookup) and (
                exists (select from tenant t where t.oid = c.conrelid)
                <> exists (select from tenant t where t.oid = c.confrelid)
            )",
    },
    Rule {
        name: "lookup_for_everybody",
        says: "what finds rows across organizations is for definer functions alone",
        sql: "select p.object || ': ' || lower(p.privilege) || ' to ' || p.grantee from privilege p
            where p.kind = 'table' and p.object in (select name from lookup)
                and p.grantee <> 'system'",
    },
    Rule {
        name: "status_without_check",
        says: "statuses are text with a CHECK that lists them",
        sql: "select r.name || '.' || a.attname from relation r
            join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
            where r.kind in ('r', 'p') and (a.attname ~ '(^|_)(status|state)$')
                and (a.atttypid <> 'text'::regtype or not exists (
                    select from pg_constraint c
                    where c.conrelid = r.oid and c.contype = 'c' and c.conkey = array[a.attnum]
                        and (pg_get_constraintdef(c.oid) like '%= ANY (ARRAY[%'
                            or pg_get_constraintdef(c.oid) ~ '= ''[^'']+''::text')
                ))",
    },
    Rule {
        name: "unvalidated_constraint",
        says: "a constraint holds for every row that is there",
        sql: "select r.name || '.' || c.conname from pg_constraint c
            join relation r on r.oid = c.conrelid where not c.convalidated",
    },
    Rule {
        name: "counter_that_tells",
        says: "a number from a sequence counts every organization's rows: app and processor may \
               not read it",
        sql: "select distinct t.name || '.' || a.attname || ': ' || r.name from tenant t
            join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
            join role r on r.name in ('app', 'processor')
            left join pg_attrdef d on d.adrelid = t.oid and d.adnum = a.attnum
            where (a.attidentity <> '' or pg_get_expr(d.adbin, d.adrelid) like '%nextval(%')
                and has_column_privilege(r.oid, t.oid, a.attnum, 'select')",
    },
    Rule {
        name: "statistics_of_values",
        says: "planner statistics are common to all organizations and EXPLAIN's estimates tell \
               them: columns of free values keep none (alter column … set statistics 0)",
        sql: "select t.name || '.' || a.attname from tenant t
            join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
            where coalesce(a.attstattarget, -1) <> 0 and a.atttypid <> 'boolean'::regtype
                and not exists (
                    select from pg_constraint c
                    where c.conrelid = t.oid and c.contype = 'c' and c.conkey = array[a.attnum]
                        and pg_get_constraintdef(c.oid) ~ '= (ANY \\(ARRAY\\[)?''[^'']+''::text'
                )",
    },
];
