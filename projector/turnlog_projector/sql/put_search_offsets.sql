INSERT INTO turnlog.search_offsets (generation, partition)
SELECT %(generation)s, partition FROM turnlog.offsets
ON CONFLICT (generation, partition) DO NOTHING
