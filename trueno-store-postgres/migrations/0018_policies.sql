-- Run as @owner@. What policies tell of other organizations' rows by errors.
--
-- 1. Rows of others meet `entered_organization` first, which answers null where nobody is in an organization
--    and raises nothing. Of a statement's own conditions, the leakproof ones may come before a policy's where
--    they cost less, and in a list of several tables (a flattened UNION ALL) where they cost as much: so it is
--    written in the form that costs least, half an operator (a comparison with an array of one). From that
--    form the planner draws no conclusions (IS NOT UNKNOWN of a CASE), and expects it to hold, so that no
--    estimate changes.
-- 2. `current_organization` raises. It is asked for once and compared twice: both are then constants of the
--    statement that equal the same column, so the planner compares them with each other in a one-time
--    filter above the table. A wrong context is an error even where no row is met, as at a place that
--    holds none (`ctid`). In a flattened list there is no such filter: there it may be no rows instead.
--
-- Before, every row was asked whether there is a context by what raises, and the comparison that keeps
-- organizations apart came last. What costs nothing still comes before a policy (a subscript, IS NULL, and what
-- CASE makes of them): no policy can come before that.

do $$
declare
    the record;
begin
    for the in
        select p.polrelid::regclass as name from pg_policy p
        join pg_class c on c.oid = p.polrelid
        where c.relnamespace = '"@schema@"'::regnamespace and p.polname = 'tenant'
    loop
        execute format(
            'alter policy tenant on %s
                using ((case
                        when organization_id = any (array[(select "@schema@".entered_organization())])
                        then true
                    end) is not unknown
                    and (organization_id, organization_id) = (
                        select entered, entered from "@schema@".current_organization() entered
                    ))',
            the.name
        );
    end loop;
end $$;
