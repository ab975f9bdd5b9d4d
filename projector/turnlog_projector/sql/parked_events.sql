-- The archived events at which a session waits. One that waits for another reason (its stream is not
-- to be trusted, a retry broke off) is parked behind an event that there is nothing wrong with.
SELECT p.seq
FROM turnlog.parked AS p
JOIN turnlog.archive AS a USING (partition, tenant, session_id, seq, event_id)
WHERE p.tenant = %s AND p.session_id = %s AND p.state = 'parked'
