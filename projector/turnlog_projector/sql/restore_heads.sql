-- How far each session of a restored archive is archived.
INSERT INTO turnlog.heads (partition, tenant, session_id, seq, event_id, recorded_at)
SELECT DISTINCT ON (partition, tenant, session_id)
    partition, tenant, session_id, seq, event_id, recorded_at
FROM turnlog.archive
ORDER BY partition, tenant, session_id, seq DESC
