-- Every generation and the space it takes, oldest first.
SELECT
    g.generation,
    g.state,
    g.name,
    to_char(
        to_timestamp(g.until_recorded_at / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'
    ),
    g.until_seq,
    g.tenant,
    g.session_id,
    to_char(g.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    to_char(g.flipped_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    coalesce((
        SELECT sum(pg_total_relation_size(c.oid))
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = 'g' || g.generation AND c.relkind = 'r'
    ), 0)::bigint
FROM turnlog.generations AS g
ORDER BY g.generation
