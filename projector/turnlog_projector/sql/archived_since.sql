-- Events of some partitions behind a place in the archive of each and up to another one (one array
-- each of partition, place before, last place), in order: as long as they hold together at most so
-- many bytes, and the first in any case. Each partition by itself, by its index: joined as a whole, the
-- archive may be read from end to end for a few events of many partitions.
WITH chunk AS (
    SELECT a.partition, a.pos,
        sum(a.size) OVER (ORDER BY a.partition, a.pos) AS size,
        row_number() OVER (ORDER BY a.partition, a.pos) AS place
    FROM unnest(
        %(partitions)s::integer[], %(after)s::bigint[], %(upto)s::bigint[]
    ) AS part (partition, after, upto)
    CROSS JOIN LATERAL (
        SELECT event.partition, event.pos, octet_length(event.bytes) AS size
        FROM turnlog.archive AS event
        WHERE event.partition = part.partition
            AND event.pos > part.after AND event.pos <= part.upto
        ORDER BY event.pos
        LIMIT %(count)s
    ) AS a
)
SELECT
    a.partition, a.pos, a.tenant, a.session_id,
    a.seq, a.event_id, a.recorded_at, a.bytes, a.repeat_of, a.hash
FROM chunk
CROSS JOIN LATERAL (
    SELECT * FROM turnlog.archive AS event
    WHERE event.partition = chunk.partition AND event.pos = chunk.pos
    LIMIT 1
) AS a
WHERE chunk.size <= %(size)s OR chunk.place = 1
ORDER BY chunk.partition, chunk.pos
