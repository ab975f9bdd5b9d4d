-- Every archived session with what its head in Redis has to say: the last event, whether the session
-- was started and erased, its owner, and whether its read model stops before its end.
SELECT h.partition, h.tenant, h.session_id, h.seq, h.event_id, h.recorded_at,
    coalesce(s.user_id, ''), coalesce(s.started, false), coalesce(s.erased, false),
    h.parked_seq IS NOT NULL
FROM turnlog.heads AS h
LEFT JOIN {g}.sessions AS s ON s.tenant = h.tenant AND s.session_id = h.session_id
WHERE h.seq > 0
