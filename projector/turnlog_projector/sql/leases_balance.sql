-- Keep up to a fair share of the partitions, renewed; give up the rest; fill up from what is free.
WITH share AS (
    SELECT ceil(count(*)::numeric / greatest(cardinality(%(alive)s::text[]), 1))::bigint AS size
    FROM turnlog.leases
), mine AS (
    SELECT partition, row_number() OVER (ORDER BY partition) AS place
    FROM turnlog.leases
    WHERE worker = %(worker)s AND until > now()
), kept AS (
    SELECT partition FROM mine, share WHERE place <= share.size
), free AS (
    SELECT l.partition
    FROM turnlog.leases AS l
    WHERE (l.worker IS NULL OR l.until <= now() OR l.worker <> ALL (%(alive)s::text[]))
        AND l.partition NOT IN (SELECT partition FROM mine)
    ORDER BY l.partition
    LIMIT greatest((SELECT size FROM share) - (SELECT count(*) FROM kept), 0)
    FOR UPDATE SKIP LOCKED
), released AS (
    UPDATE turnlog.leases SET worker = NULL, until = NULL
    WHERE worker = %(worker)s
        AND partition NOT IN (SELECT partition FROM kept UNION ALL SELECT partition FROM free)
)
UPDATE turnlog.leases SET
    worker = %(worker)s,
    until = now() + make_interval(secs => %(lease)s)
WHERE partition IN (SELECT partition FROM kept UNION ALL SELECT partition FROM free)
RETURNING partition
