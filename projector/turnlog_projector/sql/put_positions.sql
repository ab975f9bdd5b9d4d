-- The places of a generation: its number, then one array each of partition and pos.
INSERT INTO turnlog.positions (generation, partition, pos)
SELECT %b::integer, partition, pos
FROM unnest(%b::integer[], %b::bigint[]) AS row (partition, pos)
ON CONFLICT (generation, partition) DO UPDATE SET pos = excluded.pos
