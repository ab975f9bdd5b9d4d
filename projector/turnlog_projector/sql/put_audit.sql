INSERT INTO turnlog.audits (partition, run_id) VALUES (%s, %s)
ON CONFLICT (partition) DO UPDATE SET run_id = excluded.run_id, at = now()
