//! Functions: whose rights they run with, and where they look names up.

use super::rule::Rule;

pub(crate) const RULES: [Rule; 6] = [
    Rule {
        name: "definer_not_of_system",
        says: "SECURITY DEFINER functions belong to the system role, as which nobody logs in",
        sql: "select p.oid::regprocedure::text from pg_proc p
            where p.pronamespace = (select oid from home) and p.prosecdef
                and p.proowner <> (select oid from role where name = 'system')",
    },
    Rule {
        name: "function_search_path",
        says: "every function looks names up in pg_catalog, the schema and pg_temp, in this order",
        sql: "select p.oid::regprocedure::text from pg_proc p
            where p.pronamespace = (select oid from home) and not coalesce(
                p.proconfig @> array['search_path=pg_catalog, trueno, pg_temp'], false)",
    },
    Rule {
        name: "function_language",
        says: "functions are SQL or PL/pgSQL",
        sql: "select p.oid::regprocedure::text from pg_proc p
            join pg_language l on l.oid = p.prolang
            where p.pronamespace = (select oid from home) and l.lanname not in ('sql', 'plpgsql')",
    },
    Rule {
        name: "function_kind",
        says: "functions only: no procedure (it could commit), aggregate or window function",
        sql: "select p.oid::regprocedure::text from pg_proc p
            where p.pronamespace = (select oid from home) and p.prokind <> 'f'",
    },
    Rule {
        name: "function_leakproof",
        says: "what is called leakproof may see rows before the policies do: nothing of ours is",
        sql: "select p.oid::regprocedure::text from pg_proc p
            where p.pronamespace = (select oid from home) and p.proleakproof",
    },
    Rule {
        name: "definer_with_dynamic_sql",
        says: "SECURITY DEFINER functions run no SQL that is made of text",
        sql: "select p.oid::regprocedure::text from pg_proc p
            where p.pronamespace = (select oid from home) and p.prosecdef
                and p.prosrc ~* '\\mexecute\\M'",
    },
];
