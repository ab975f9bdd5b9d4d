-- One offset and one lease a partition.
WITH numbers AS (
    SELECT partition FROM generate_series(0, %(partitions)s - 1) AS partition
), offset_rows AS (
    INSERT INTO turnlog.offsets (partition) SELECT partition FROM numbers
    ON CONFLICT DO NOTHING
)
INSERT INTO turnlog.leases (partition) SELECT partition FROM numbers
ON CONFLICT DO NOTHING
