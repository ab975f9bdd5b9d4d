-- Note how far the partitions are archived and projected, where that was not done for a while and
-- something has come since. Notes of the future are of a clock that was set back: they are none.
INSERT INTO turnlog.trim_marks (partition, at, pos, n)
SELECT o.partition, now(), o.pos, o.n
FROM turnlog.offsets AS o
LEFT JOIN LATERAL (
    SELECT m.at, m.pos, m.n
    FROM turnlog.trim_marks AS m
    WHERE m.partition = o.partition AND m.at <= now()
    ORDER BY m.at DESC
    LIMIT 1
) AS newest ON true
WHERE o.partition = ANY (%(partitions)s)
    AND (
        newest.at IS NULL
        OR (
            newest.at <= now() - make_interval(secs => %(interval)s)
            AND (newest.pos, newest.n) <> (o.pos, o.n)
        )
    )
ON CONFLICT DO NOTHING
