-- Generations that were made before they had policies.
SELECT substr(n.nspname, 2)::integer
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname ~ '^g[0-9]+$' AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity
GROUP BY n.nspname
