-- Where a session waits; null when it does not.
SELECT parked_seq FROM turnlog.heads WHERE partition = %s AND tenant = %s AND session_id = %s
