-- Let go on whatever waits for an archived event, and some sessions in any case (one array each of
-- partition, tenant, session_id). What waits for an event that is not archived (its stream is not to
-- be trusted) goes on waiting.
WITH going AS (
    UPDATE turnlog.heads AS h SET parked_seq = NULL
    WHERE h.parked_seq IS NOT NULL AND (
        h.parked_seq <= h.seq
        OR (h.partition, h.tenant, h.session_id) IN (
            SELECT * FROM unnest(%b::integer[], %b::text[], %b::text[])
        )
    )
    RETURNING h.tenant, h.session_id
)
DELETE FROM turnlog.parked AS p
USING going
WHERE p.state = 'parked' AND p.tenant = going.tenant AND p.session_id = going.session_id
