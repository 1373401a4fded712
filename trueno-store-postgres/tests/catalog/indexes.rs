//! Indexes: under row-level security they serve leakproof operators only, and where they do not
//! begin with the organization they tell of other organizations' rows.

use super::rule::Rule;

pub(crate) const RULES: [Rule; 6] = [
    Rule {
        name: "index_not_leakproof",
        says: "an index that app or processor may use is a B-tree over columns whose operators are \
               leakproof: others serve no query under row-level security",
        sql: "select distinct t.name || '.' || i.indexrelid::regclass::text from pg_index i
            join tenant t on t.oid = i.indrelid
            join pg_class c on c.oid = i.indexrelid
            join pg_am m on m.oid = c.relam
            cross join unnest(i.indclass::oid[]) k (opclass)
            join pg_opclass o on o.oid = k.opclass
            where m.amname <> 'btree' or i.indexprs is not null or exists (
                select from pg_amop p join pg_operator x on x.oid = p.amopopr
                join pg_proc f on f.oid = x.oprcode
                where p.amopfamily = o.opcfamily and p.amoplefttype = o.opcintype
                    and p.amoprighttype = o.opcintype and not f.proleakproof
            )",
    },
    Rule {
        name: "index_across_organizations",
        says: "an index of a table that app or processor may read begins with organization_id: \
               with another one, a statement without a context fails only where it meets a row, \
               and EXPLAIN ANALYZE counts those it passed over",
        sql: "select distinct t.name || '.' || i.indexrelid::regclass::text from pg_index i
            join tenant t on t.oid = i.indrelid
            left join pg_attribute a on a.attrelid = t.oid and a.attnum = i.indkey[0]
            join role r on r.name in ('app', 'processor')
            where a.attname is distinct from 'organization_id'
                and has_any_column_privilege(r.oid, t.oid, 'select')",
    },
    Rule {
        name: "invalid_index",
        says: "an index that failed to build is dropped",
        sql: "select i.indexrelid::regclass::text from pg_index i
            join relation r on r.oid = i.indrelid where not i.indisvalid",
    },
    Rule {
        name: "duplicate_index",
        says: "two indexes do not do the same",
        sql: "select min(indexrelid::regclass::text) || ' = ' || max(indexrelid::regclass::text)
            from pg_index i join relation r on r.oid = i.indrelid
            group by indrelid, indkey::text, indclass::text, indcollation::text, indoption::text,
                indnatts, pg_get_expr(indexprs, indrelid), pg_get_expr(indpred, indrelid)
            having count(*) > 1",
    },
    Rule {
        name: "foreign_key_without_index",
        says: "an index begins with the columns of every foreign key",
        sql: "select r.name || '.' || c.conname from pg_constraint c
            join relation r on r.oid = c.conrelid
            where c.contype = 'f' and not exists (
                select from pg_index i where i.indrelid = c.conrelid and i.indpred is null
                    and (i.indkey::smallint[])[0:cardinality(c.conkey) - 1] @> c.conkey
            )",
    },
    Rule {
        name: "text_key_collation",
        says: "text that a key orders by collates byte by byte (\"C\"), where it is ordered by",
        sql: "select distinct t.name || '.' || a.attname from pg_index i
            join tenant t on t.oid = i.indrelid and not t.partition
            cross join unnest(i.indkey::smallint[], i.indcollation::oid[]) k (attnum, collates)
            join pg_attribute a on a.attrelid = t.oid and a.attnum = k.attnum
            where i.indisprimary and a.atttypid = 'text'::regtype
                and k.collates <> 'pg_catalog.\"C\"'::regcollation",
    },
];
