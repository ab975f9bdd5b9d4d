-- Sessions that wait.
SELECT partition, tenant, session_id FROM turnlog.heads WHERE parked_seq IS NOT NULL
