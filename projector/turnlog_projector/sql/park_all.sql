-- Park sessions of a generation that becomes the live one: one array each of partition, tenant,
-- session_id, seq, event_id, error.
WITH wanted AS (
    SELECT *
    FROM unnest(
        %b::integer[], %b::text[], %b::text[], %b::bigint[], %b::text[], %b::text[]
    ) AS row (partition, tenant, session_id, seq, event_id, error)
), parked AS (
    INSERT INTO turnlog.parked (tenant, session_id, seq, event_id, partition, state, error)
    SELECT tenant, session_id, seq, event_id, partition, 'parked', error FROM wanted
    ON CONFLICT (tenant, session_id, seq) DO UPDATE SET state = 'parked', error = excluded.error
)
UPDATE turnlog.heads AS h SET parked_seq = wanted.seq
FROM wanted
WHERE h.partition = wanted.partition AND h.tenant = wanted.tenant
    AND h.session_id = wanted.session_id
