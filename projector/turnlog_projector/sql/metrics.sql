-- What metrics tell of the database, in one row. Erasures are counted by what they still wait for.
SELECT
    a.generation,
    (
        SELECT count(*)
        FROM turnlog.workers AS w
        WHERE w.seen_at > now() - make_interval(secs => %(lease)s)
    ),
    (SELECT count(DISTINCT (tenant, session_id)) FROM turnlog.parked WHERE state = 'parked'),
    (SELECT count(*) FROM turnlog.parked WHERE state = 'skipped'),
    h.healings,
    h.restored,
    e.erasures,
    lag.events,
    lag.seconds,
    pg_total_relation_size('turnlog.archive'),
    e.in_redis,
    e.in_files
FROM turnlog.active AS a
CROSS JOIN (
    SELECT count(*) AS healings, coalesce(sum(restored), 0)::bigint AS restored
    FROM turnlog.healings
) AS h
CROSS JOIN (
    SELECT
        count(*) AS erasures,
        count(*) FILTER (WHERE redis_done_at IS NULL) AS in_redis,
        count(*) FILTER (WHERE redis_done_at IS NOT NULL AND files_done_at IS NULL) AS in_files
    FROM turnlog.erasures
) AS e
CROSS JOIN LATERAL turnlog.search_lag(a.generation) AS lag
WHERE a.only_row
