//! Roles and what was granted to them.

use super::rule::Rule;

pub(crate) const RULES: [Rule; 9] = [
    Rule {
        name: "role_missing",
        says: "there are five roles",
        sql: "select n.name from unnest(array['owner', 'system', 'app', 'processor', 'sequencer'])
            n (name) where n.name not in (select name from role)",
    },
    Rule {
        name: "role_attributes",
        says: "no role is a superuser or has BYPASSRLS, CREATEROLE, CREATEDB or REPLICATION; owner \
               and system cannot log in",
        sql: "select r.name from role r join pg_roles p on p.oid = r.oid
            where p.rolsuper or p.rolbypassrls or p.rolcreaterole or p.rolcreatedb
                or p.rolreplication or (p.rolcanlogin and r.name in ('owner', 'system'))",
    },
    Rule {
        name: "role_membership",
        says: "no role is a member of another",
        sql: "select r.name || ' in ' || m.roleid::regrole from pg_auth_members m
            join role r on r.oid = m.member",
    },
    Rule {
        name: "wrong_owner",
        says: "the owner owns the schema and its relations; functions are the owner's or the \
               system role's",
        sql: "select r.name from relation r
            where r.owner <> (select oid from role where name = 'owner')
            union all
            select p.oid::regprocedure::text from pg_proc p
            where p.pronamespace = (select oid from home)
                and p.proowner not in (select oid from role where name in ('owner', 'system'))
            union all
            select 'schema' from pg_namespace n
            where n.oid = (select oid from home)
                and n.nspowner <> (select oid from role where name = 'owner')",
    },
    Rule {
        name: "grant_to_outsider",
        says: "nothing is granted to PUBLIC or to roles that are not ours",
        sql: "select kind || ' ' || object || ': ' || lower(privilege) || ' to ' || grantee
            from privilege where grantee not in (select name from role)",
    },
    Rule {
        name: "grant_option",
        says: "nobody can pass a privilege on",
        sql: "select kind || ' ' || object || ': ' || lower(privilege) || ' to ' || grantee
            from privilege where grantable",
    },
    Rule {
        name: "privilege_beyond_rows",
        says: "no TRUNCATE (policies do not bind it), REFERENCES, TRIGGER or MAINTAIN, no CREATE in \
               the schema, nothing on sequences, nothing on partitions, which have no policies",
        sql: "select kind || ' ' || object || ': ' || lower(privilege) || ' to ' || grantee
            from privilege p
            where (
                    privilege in ('TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN', 'CREATE')
                    or kind = 'sequence'
                    or object in (select name from relation where partition)
                ) and grantee <> 'owner'",
    },
    Rule {
        name: "default_privilege",
        says: "what is made in future is granted to nobody by itself",
        sql: "select d.defaclrole::regrole || ': ' || a.privilege_type || ' to '
                || case when a.grantee = 0 then 'PUBLIC' else a.grantee::regrole::text end
            from pg_default_acl d cross join aclexplode(d.defaclacl) a
            where a.grantee <> d.defaclrole",
    },
    Rule {
        name: "system_reads_all_of",
        says: "the system role is who definer functions run as: nobody else may run what is its \
               own and not a definer function",
        sql: "select p.object || ' to ' || p.grantee from privilege p
            join pg_proc f on regexp_replace(f.oid::regprocedure::text, '^trueno\\.', '') = p.object
                and f.pronamespace = (select oid from home)
            where p.kind = 'function' and not f.prosecdef
                and f.proowner = (select oid from role where name = 'system')",
    },
];
