-- Let go on whatever waits for an archived event, but for the sessions that wait at the same place
-- in the generation that becomes the live one (one array each of partition, tenant, session_id, seq).
-- What waits for an event that is not archived, as its stream is not to be trusted, goes on waiting,
-- unless that generation waits before it.
WITH wanted AS (
    SELECT *
    FROM unnest(%b::integer[], %b::text[], %b::text[], %b::bigint[])
        AS row (partition, tenant, session_id, seq)
), going AS (
    UPDATE turnlog.heads AS h SET parked_seq = NULL
    WHERE h.parked_seq IS NOT NULL
        AND (h.partition, h.tenant, h.session_id, h.parked_seq) NOT IN (SELECT * FROM wanted)
        AND (
            h.parked_seq <= h.seq
            OR (h.partition, h.tenant, h.session_id) IN (
                SELECT partition, tenant, session_id FROM wanted
            )
        )
    RETURNING h.tenant, h.session_id
)
DELETE FROM turnlog.parked AS p
USING going
WHERE p.state = 'parked' AND p.tenant = going.tenant AND p.session_id = going.session_id
