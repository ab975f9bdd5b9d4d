-- What an operator wants to know, as one JSON object. Turns are estimated: counting takes too long.
SELECT
    a.generation,
    json_build_object(
        'log_id', (SELECT log_id FROM turnlog.log),
        'version', current_setting('server_version'),
        'database_bytes', pg_database_size(current_database()),
        'archive_bytes', pg_total_relation_size('turnlog.archive'),
        'read_model_bytes', (
            SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)
            FROM pg_class AS c
            WHERE c.relnamespace = '{g}'::regnamespace AND c.relkind = 'r'
        ),
        'turns_estimated', (
            SELECT greatest(c.reltuples, 0)::bigint FROM pg_class AS c WHERE c.oid = '{g}.turns'::regclass
        ),
        'parked', t.parked,
        'skipped', t.skipped,
        'healings', t.healings,
        'watch', turnlog.watch(),
        'search', json_build_object(
            'events_behind', lag.events,
            'sessions_behind', lag.sessions,
            'seconds_behind', lag.seconds,
            'bytes', pg_total_relation_size('{g}.search')
        ),
        'offsets', (
            SELECT json_agg(json_build_array(o.partition, o.n, o.pos) ORDER BY o.partition)
            FROM turnlog.offsets AS o
        )
    )
FROM turnlog.active AS a
CROSS JOIN turnlog.totals() AS t
CROSS JOIN LATERAL turnlog.search_lag(a.generation) AS lag
WHERE a.only_row
