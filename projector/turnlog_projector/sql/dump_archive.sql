-- Every archived event, in the order in which each partition got them.
COPY (
    SELECT tenant, session_id, seq, event_id, recorded_at, repeat_of, hash, bytes
    FROM turnlog.archive
    ORDER BY partition, pos
) TO STDOUT (FORMAT binary)
