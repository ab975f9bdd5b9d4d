-- How far each partition is projected: the index entry, and the events that are archived.
SELECT partition, n, pos FROM turnlog.offsets ORDER BY partition
