SELECT partition, seq FROM turnlog.parked
WHERE tenant = %s AND session_id = %s AND state = 'parked'
ORDER BY seq
LIMIT 1
