-- The compare-and-set that every batch begins with. A row that is missing from the answer belongs to
-- somebody else by now. Rows are locked in one order, so that two workers cannot wait for each other.
WITH wanted AS (
    SELECT partition, old_n, old_epoch, n, session, event_id, epoch, pos
    FROM unnest(
        %b::integer[], %b::bigint[], %b::bigint[], %b::bigint[], %b::text[], %b::text[],
        %b::bigint[], %b::bigint[]
    ) AS row (partition, old_n, old_epoch, n, session, event_id, epoch, pos)
), locked AS (
    SELECT partition FROM turnlog.offsets
    WHERE partition IN (SELECT partition FROM wanted)
    ORDER BY partition
    FOR UPDATE
)
UPDATE turnlog.offsets AS o SET
    n = wanted.n,
    session = wanted.session,
    event_id = wanted.event_id,
    epoch = wanted.epoch,
    pos = wanted.pos
FROM wanted JOIN locked USING (partition)
WHERE o.partition = wanted.partition AND o.n = wanted.old_n AND o.epoch = wanted.old_epoch
RETURNING o.partition
