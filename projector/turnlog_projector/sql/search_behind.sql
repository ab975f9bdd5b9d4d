-- Which of some partitions have events that are not searched yet, or sessions to be made again.
SELECT o.partition
FROM turnlog.offsets AS o
JOIN turnlog.search_offsets AS s
    ON s.partition = o.partition AND s.generation = %(generation)s
WHERE o.partition = ANY (%(partitions)s::integer[])
    AND (
        o.pos > s.pos
        OR EXISTS (
            SELECT FROM turnlog.search_stale AS again
            WHERE again.generation = %(generation)s AND again.partition = o.partition
        )
    )
ORDER BY o.partition
