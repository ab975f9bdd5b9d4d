-- Which of some partitions have events that are not searched yet, or sessions to be made again; none
-- when the generation is not the live one.
SELECT o.partition
FROM turnlog.active AS a
JOIN turnlog.search_offsets AS s ON s.generation = a.generation
JOIN turnlog.offsets AS o ON o.partition = s.partition
WHERE a.generation = %(generation)s
    AND o.partition = ANY (%(partitions)s::integer[])
    AND (
        o.pos > s.pos
        OR EXISTS (
            SELECT FROM turnlog.search_stale AS again
            WHERE again.generation = a.generation AND again.partition = o.partition
        )
    )
ORDER BY o.partition
