-- What was erased, as a dump holds it.
SELECT jsonb_build_object(
    'tenant', tenant, 'session_id', session_id, 'turn_id', turn_id, 'seq', seq, 'at', at,
    'events', events, 'seqs', seqs
)
FROM turnlog.erasures
ORDER BY partition, tenant, session_id, turn_id
