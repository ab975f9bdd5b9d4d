-- Tables of a generation that hold rows although the planner believes them to be all but empty.
SELECT n.nspname, c.relname
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('{g}.turns'))
    AND c.relkind = 'r'
    AND c.reltuples < 500
    AND pg_relation_size(c.oid) > 256 * 1024
