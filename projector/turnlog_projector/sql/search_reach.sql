-- Up to which place in the archive the read models of a generation hold some partitions; no row when
-- it is not the live one. In one snapshot: after a flip the offsets tell of another generation.
SELECT o.partition, o.pos
FROM turnlog.active AS a
JOIN turnlog.offsets AS o ON o.partition = ANY (%(partitions)s::integer[])
WHERE a.generation = %(generation)s
