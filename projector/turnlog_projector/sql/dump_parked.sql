-- What is parked or skipped, as a dump holds it.
SELECT jsonb_build_object(
    'tenant', tenant, 'session_id', session_id, 'seq', seq, 'event_id', event_id,
    'state', state, 'error', error, 'at', at
)
FROM turnlog.parked
ORDER BY tenant, session_id, seq
