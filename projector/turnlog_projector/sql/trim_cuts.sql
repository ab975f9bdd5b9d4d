-- Of each partition: its anchor; up to which place the archive held it so long ago; up to which
-- place for so long that a session without later events is quiet; and how far it was projected some
-- time ago.
SELECT o.partition, o.n, o.session, o.event_id,
    coalesce(archived.pos, 0), coalesce(quiet.pos, 0), coalesce(projected.n, 0)
FROM turnlog.offsets AS o
LEFT JOIN LATERAL (
    SELECT m.pos
    FROM turnlog.trim_marks AS m
    WHERE m.partition = o.partition AND m.at <= now() - make_interval(secs => %(older_than)s)
    ORDER BY m.at DESC
    LIMIT 1
) AS archived ON true
LEFT JOIN LATERAL (
    SELECT m.pos
    FROM turnlog.trim_marks AS m
    WHERE m.partition = o.partition AND m.at <= now() - make_interval(secs => %(quiet_after)s)
    ORDER BY m.at DESC
    LIMIT 1
) AS quiet ON true
LEFT JOIN LATERAL (
    SELECT m.n
    FROM turnlog.trim_marks AS m
    WHERE m.partition = o.partition AND m.at <= now() - make_interval(secs => %(index_age)s)
    ORDER BY m.at DESC
    LIMIT 1
) AS projected ON true
WHERE o.partition = ANY (%(partitions)s)
ORDER BY o.partition
