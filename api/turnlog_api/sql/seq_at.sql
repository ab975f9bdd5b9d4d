-- The last archived event of a session that was recorded up to a moment. Within a session
-- recorded_at never goes back, so the place is found by halving: some twenty steps by the primary
-- key. Always one row; 0 when all of its events are later.
WITH RECURSIVE halving AS (
    SELECT 0::bigint AS low, %(last)s::bigint + 1 AS high
    UNION ALL
    SELECT
        CASE WHEN middle.recorded_at <= %(moment)s::bigint THEN middle.seq ELSE h.low END,
        CASE WHEN middle.recorded_at <= %(moment)s::bigint THEN h.high ELSE middle.seq END
    FROM halving AS h
    CROSS JOIN LATERAL (
        SELECT a.seq, a.recorded_at
        FROM turnlog.archive AS a
        WHERE a.partition = %(partition)s
            AND a.tenant = %(tenant)s
            AND a.session_id = %(session_id)s
            AND a.seq = (h.low + h.high) / 2
        LIMIT 1 -- looked up step by step: as a join it would be made of all events at once
    ) AS middle
    WHERE h.high - h.low > 1
)
SELECT max(h.low) FROM halving AS h
