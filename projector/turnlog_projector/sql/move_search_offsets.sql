-- Move the offsets of a generation: one array each of partition and pos. They are locked.
UPDATE turnlog.search_offsets AS o SET pos = moved.pos
FROM unnest(%(partitions)s::integer[], %(positions)s::bigint[]) AS moved (partition, pos)
WHERE o.generation = %(generation)s AND o.partition = moved.partition
