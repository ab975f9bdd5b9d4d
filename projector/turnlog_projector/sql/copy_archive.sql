-- The same as put_archive, for many events.
COPY turnlog.archive (
    partition, pos, tenant, session_id, seq, event_id, recorded_at, repeat_of, hash, bytes
)
FROM STDIN (FORMAT binary)
