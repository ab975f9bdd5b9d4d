-- Park sessions at an event that could not be folded.
INSERT INTO turnlog.parked (tenant, session_id, seq, event_id, partition, state, error)
SELECT tenant, session_id, seq, event_id, partition, 'parked', error
FROM unnest(
    %b::text[], %b::text[], %b::bigint[], %b::text[], %b::integer[], %b::text[]
) AS row (tenant, session_id, seq, event_id, partition, error)
ON CONFLICT (tenant, session_id, seq) DO UPDATE SET
    state = 'parked', error = excluded.error, at = now()
