SELECT partition, pos
FROM turnlog.search_offsets
WHERE generation = %(generation)s AND partition = ANY (%(partitions)s::integer[])
ORDER BY partition
FOR UPDATE SKIP LOCKED
