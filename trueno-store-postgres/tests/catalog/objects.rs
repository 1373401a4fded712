//! What there may be in the schema, and that there is nothing of ours anywhere else.

use super::rule::Rule;

pub(crate) const RULES: [Rule; 11] = [
    Rule {
        name: "kind_of_relation",
        says: "materialized views and foreign tables know no row-level security; composite types \
               are not needed",
        sql: "select name || ': ' || kind::text from relation
            where kind not in ('r', 'p', 'i', 'I', 'S', 'v', 't')",
    },
    Rule {
        name: "view_without_invoker",
        says: "a view reads with its owner's rights unless it is made with security_invoker",
        sql: "select name from relation where kind = 'v'
            and not coalesce(options @> array['security_invoker=true'], false)",
    },
    Rule {
        name: "type",
        says: "no enum (its operators are not leakproof), domain, range or multirange",
        sql: "select typname::text from pg_type
            where typnamespace = (select oid from home) and typtype in ('e', 'd', 'r', 'm')",
    },
    Rule {
        name: "other_object",
        says: "no operator, operator class, cast, collation, text search object or extended \
               statistics",
        sql: "select pg_describe_object(d.classid, d.objid, 0) from pg_depend d
            where d.refclassid = 'pg_namespace'::regclass
                and d.refobjid = (select oid from home)
                and d.classid not in ('pg_class'::regclass, 'pg_proc'::regclass,
                    'pg_type'::regclass, 'pg_constraint'::regclass)
                -- The owner of the schema, and what a default privilege is about: a rule of its own.
                and d.classid <> 'pg_default_acl'::regclass",
    },
    Rule {
        name: "rewrite_rule",
        says: "a rewrite rule runs with the rights of the table's owner",
        sql: "select r.name || '.' || w.rulename from pg_rewrite w
            join relation r on r.oid = w.ev_class where w.rulename <> '_RETURN'",
    },
    Rule {
        name: "inheritance",
        says: "a child is read through its parent's policies; only partitions may be children",
        sql: "select i.inhrelid::regclass::text from pg_inherits i
            join relation r on r.oid = i.inhparent
            join pg_class c on c.oid = i.inhrelid
            where not c.relispartition and c.relkind in ('r', 'f')",
    },
    Rule {
        name: "column_of_reg_type",
        says: "reg* types keep a database from pg_upgrade",
        sql: "select r.name || '.' || a.attname from relation r
            join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
            where r.kind in ('r', 'p', 'v') and format_type(a.atttypid, null) like 'reg%'",
    },
    Rule {
        name: "extension",
        says: "the schema has to work, and to be judged, without extensions",
        sql: "select extname || ' in ' || extnamespace::regnamespace from pg_extension
            where extnamespace in ((select oid from home), 'public'::regnamespace)",
    },
    Rule {
        name: "beyond_the_schema",
        says: "our roles own nothing and may do nothing outside the schema",
        sql: "select pg_describe_object(d.classid, d.objid, d.objsubid) || ': ' || r.name
            from pg_shdepend d join role r on r.oid = d.refobjid
            cross join pg_identify_object(d.classid, d.objid, d.objsubid) o
            where d.refclassid = 'pg_authid'::regclass and d.deptype in ('a', 'o')
                and d.dbid = (select oid from pg_database where datname = current_database())
                and o.schema is distinct from 'trueno'
                and d.classid <> 'pg_default_acl'::regclass
                and not (d.classid = 'pg_namespace'::regclass and d.objid = (select oid from home))",
    },
    Rule {
        name: "publication",
        says: "logical replication passes policies by; event triggers run for everybody",
        sql: "select pubname::text from pg_publication
            union all select evtname::text from pg_event_trigger",
    },
    Rule {
        name: "autovacuum_off",
        says: "autovacuum runs on every table",
        sql: "select name from relation where kind in ('r', 'p')
            and coalesce(options && array['autovacuum_enabled=false', 'autovacuum_enabled=off'],
                false)",
    },
];
