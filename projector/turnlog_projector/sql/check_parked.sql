-- Sessions that heads and parked do not agree on: where each says that the session waits.
SELECT tenant, session_id, p.seq, h.parked_seq
FROM (
    SELECT partition, tenant, session_id, parked_seq
    FROM turnlog.heads
    WHERE parked_seq IS NOT NULL
) AS h
FULL JOIN (
    SELECT partition, tenant, session_id, seq FROM turnlog.parked WHERE state = 'parked'
) AS p USING (partition, tenant, session_id)
WHERE p.seq IS DISTINCT FROM h.parked_seq
ORDER BY tenant, session_id
