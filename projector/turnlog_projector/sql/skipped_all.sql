-- Every event that an operator has declared void.
SELECT partition, tenant, session_id, seq FROM turnlog.parked WHERE state = 'skipped'
