-- Archive events. A row that is there already means another worker was here: the transaction fails.
INSERT INTO turnlog.archive (
    partition, pos, tenant, session_id, seq, event_id, recorded_at, repeat_of, hash, bytes
)
SELECT partition, pos, tenant, session_id, seq, event_id, recorded_at, repeat_of, hash, bytes
FROM unnest(
    %b::integer[], %b::bigint[], %b::text[], %b::text[], %b::bigint[], %b::text[], %b::bigint[],
    %b::bigint[], %b::bytea[], %b::bytea[]
) AS row (
    partition, pos, tenant, session_id, seq, event_id, recorded_at, repeat_of, hash, bytes
)
