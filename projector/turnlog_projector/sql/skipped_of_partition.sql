SELECT tenant, session_id, seq FROM turnlog.parked
WHERE partition = %s AND state = 'skipped'
