-- Note how far each session is archived.
INSERT INTO turnlog.heads (
    partition, tenant, session_id, seq, event_id, recorded_at, parked_seq
)
SELECT partition, tenant, session_id, seq, event_id, recorded_at, parked_seq
FROM unnest(
    %b::integer[], %b::text[], %b::text[], %b::bigint[], %b::text[], %b::bigint[], %b::bigint[]
) AS row (partition, tenant, session_id, seq, event_id, recorded_at, parked_seq)
ON CONFLICT (partition, tenant, session_id) DO UPDATE SET
    seq = excluded.seq,
    event_id = excluded.event_id,
    recorded_at = excluded.recorded_at,
    parked_seq = excluded.parked_seq
