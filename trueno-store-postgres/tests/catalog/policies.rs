//! Row-level security.

use super::rule::Rule;

pub(crate) const RULES: [Rule; 5] = [
    Rule {
        name: "row_level_security_off",
        says: "row-level security is enabled and forced on every table, partitions included",
        sql: "select name from relation where kind in ('r', 'p')
            and not (relrowsecurity and relforcerowsecurity)",
    },
    Rule {
        name: "tenant_policies",
        says: "a tenant table has two policies: `tenant` for app and processor, permissive, for \
               all, whose USING and WITH CHECK compare organization_id with the entered \
               organization, read once per statement, and whose USING does so as migration 18 says: first \
               with what raises nothing, then twice with what does; and `across`, for system alone. A \
               partition has none",
        sql: "select t.name from tenant t
            left join lateral (
                select count(*) as policies,
                    count(*) filter (
                        where p.polname = 'tenant' and p.polpermissive and p.polcmd = '*'
                            and (select array_agg(r.name order by r.name) from role r
                                where r.oid = any (p.polroles)) = array['app', 'processor']
                            and cardinality(p.polroles) = 2
                            and pg_get_expr(p.polqual, p.polrelid) = w.entered
                            and pg_get_expr(p.polwithcheck, p.polrelid) = w.same
                    ) as tenant,
                    count(*) filter (
                        where p.polname = 'across' and p.polpermissive and p.polcmd = '*'
                            and p.polroles = array[(select oid from role where name = 'system')]
                            and pg_get_expr(p.polqual, p.polrelid) = 'true'
                            and pg_get_expr(p.polwithcheck, p.polrelid) = 'true'
                    ) as across
                from pg_policy p
                cross join (
                    select '(organization_id = ( SELECT trueno.current_organization() '
                            || 'AS current_organization))',
                        e'((\\nCASE\\n    WHEN (organization_id = ANY (ARRAY[( SELECT '
                            || 'trueno.entered_organization() AS entered_organization)])) THEN true'
                            || e'\\n    ELSE NULL::boolean\\nEND IS NOT UNKNOWN)'
                            || ' AND ((organization_id, organization_id) = ( SELECT entered.entered,'
                            || e'\\n    entered.entered\\n'
                            || '   FROM trueno.current_organization() entered(entered))))'
                ) w (same, entered)
                -- Those that narrow what may be added have a rule of their own.
                where p.polrelid = t.oid
                    and (p.polpermissive or p.polname not in ('actor_of_app', 'actor_of_processor'))
            ) p on true
            where case when t.partition then p.policies > 0
                else p.policies <> 2 or p.tenant <> 1 or p.across <> 1 end",
    },
    Rule {
        name: "actor_policies",
        says: "a table that says who acted has two restrictive policies: the app adds rows of members \
               only, and the processor of the processor; there are no others like them",
        sql: "select t.name from tenant t
            cross join lateral (
                select count(*) filter (
                    where not p.polpermissive and p.polcmd = 'a' and exists (
                        select from role r
                        join (values ('app', 'member'), ('processor', 'processor')) w (role, kind)
                            on w.role = r.name
                        where p.polname = 'actor_of_' || w.role and p.polroles = array[r.oid]
                            and pg_get_expr(p.polwithcheck, p.polrelid)
                                = '(actor_kind = ''' || w.kind || '''::text)'
                    )
                ) as right_ones, count(*) as like_them
                from pg_policy p
                where p.polrelid = t.oid and p.polname in ('actor_of_app', 'actor_of_processor')
            ) p
            where (p.right_ones, p.like_them) <> (
                select count(*) * 2, count(*) * 2 from pg_attribute a
                where a.attrelid = t.oid and a.attname = 'actor_kind' and not a.attisdropped
            )",
    },
    Rule {
        name: "policy_for_public",
        says: "policies name the roles that they are for",
        sql: "select r.name || '.' || p.polname from pg_policy p
            join relation r on r.oid = p.polrelid
            where 0 = any (p.polroles) or exists (
                select from unnest(p.polroles) x (oid) where x.oid not in (select oid from role)
            )",
    },
    Rule {
        name: "several_policies",
        says: "one permissive policy for each role and command",
        sql: "select distinct r.name || ': ' || x.name from relation r
            join pg_policy p on p.polrelid = r.oid and p.polpermissive
            join pg_policy q on q.polrelid = r.oid and q.polpermissive and q.oid > p.oid
                and (p.polcmd = q.polcmd or '*' in (p.polcmd, q.polcmd))
            join role x on x.oid = any (p.polroles) and x.oid = any (q.polroles)",
    },
];
