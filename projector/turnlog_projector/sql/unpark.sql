-- The last parameter is the seq that stays parked.
DELETE FROM turnlog.parked
WHERE tenant = %s AND session_id = %s AND state = 'parked' AND seq <> %s
