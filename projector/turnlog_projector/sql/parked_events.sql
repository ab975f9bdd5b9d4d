SELECT seq FROM turnlog.parked
WHERE tenant = %s AND session_id = %s AND state = 'parked'
