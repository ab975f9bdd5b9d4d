-- What a dump of the archive holds.
SELECT log_id, partitions,
    (SELECT coalesce(sum(pos), 0)::bigint FROM turnlog.offsets),
    (SELECT count(*) FROM turnlog.heads WHERE seq > 0),
    (SELECT count(*) FROM turnlog.parked),
    (SELECT count(*) FROM turnlog.erasures)
FROM turnlog.log
