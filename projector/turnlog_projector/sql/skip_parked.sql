UPDATE turnlog.parked SET state = 'skipped', at = now()
WHERE tenant = %s AND session_id = %s AND seq = %s
