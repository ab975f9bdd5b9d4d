-- Say up to where a generation can be searched: one array each of partition and pos.
INSERT INTO turnlog.search_offsets (generation, partition, pos)
SELECT %(generation)s, partition, pos
FROM unnest(%(partitions)s::integer[], %(positions)s::bigint[]) AS row (partition, pos)
