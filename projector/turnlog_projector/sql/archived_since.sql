-- Events of some partitions behind a place in the archive of each and up to another one (one array
-- each of partition, place before, last place), in order: at most so many, and after the first only
-- as long as they hold together at most so many bytes.
WITH chunk AS (
    SELECT a.partition, a.pos,
        sum(octet_length(a.bytes)) OVER (ORDER BY a.partition, a.pos) AS size,
        row_number() OVER (ORDER BY a.partition, a.pos) AS place
    FROM unnest(
        %(partitions)s::integer[], %(after)s::bigint[], %(upto)s::bigint[]
    ) AS part (partition, after, upto)
    JOIN turnlog.archive AS a
        ON a.partition = part.partition AND a.pos > part.after AND a.pos <= part.upto
    ORDER BY a.partition, a.pos
    LIMIT %(count)s
)
SELECT
    a.partition, a.pos, a.tenant, a.session_id,
    a.seq, a.event_id, a.recorded_at, a.bytes, a.repeat_of, a.hash
FROM chunk
JOIN turnlog.archive AS a USING (partition, pos)
WHERE chunk.size <= %(size)s OR chunk.place = 1
ORDER BY a.partition, a.pos
