-- An advisory lock on one bigint stands in pg_locks as its two halves.
SELECT w.worker
FROM turnlog.workers AS w
WHERE w.seen_at > now() - make_interval(secs => %(lease)s)
    AND EXISTS (
        SELECT FROM pg_locks AS l
        WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND l.classid::bigint = w.lock_key >> 32
            AND l.objid::bigint = w.lock_key & 4294967295
    )
