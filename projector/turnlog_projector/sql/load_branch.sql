SELECT body FROM {g}.branches WHERE tenant = %s AND session_id = %s AND branch_id = %s
