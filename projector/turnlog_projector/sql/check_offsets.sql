-- Partitions whose places in the archive are not 1 to what their offset counts: the partition, what
-- it counts, how many events there are, and the last place.
SELECT partition, coalesce(o.pos, 0), coalesce(a.events, 0), coalesce(a.last, 0)
FROM turnlog.offsets AS o
FULL JOIN (
    SELECT partition, count(*) AS events, max(pos) AS last
    FROM turnlog.archive
    GROUP BY partition
) AS a USING (partition)
WHERE coalesce(o.pos, 0) <> coalesce(a.events, 0) OR coalesce(o.pos, 0) <> coalesce(a.last, 0)
ORDER BY partition
