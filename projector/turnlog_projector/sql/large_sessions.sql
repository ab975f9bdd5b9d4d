SELECT partition, tenant, session_id FROM turnlog.heads WHERE seq > %s
