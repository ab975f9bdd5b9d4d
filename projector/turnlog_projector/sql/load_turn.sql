SELECT body FROM {g}.turns WHERE tenant = %s AND session_id = %s AND turn_id = %s
