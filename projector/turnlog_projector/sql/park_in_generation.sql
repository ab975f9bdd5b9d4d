WITH parked AS (
    INSERT INTO turnlog.parked (tenant, session_id, seq, event_id, partition, state, error)
    VALUES (
        %(tenant)s, %(session_id)s, %(seq)s, %(event_id)s, %(partition)s, 'parked', %(error)s
    )
    ON CONFLICT (tenant, session_id, seq) DO UPDATE SET state = 'parked', error = excluded.error
)
UPDATE turnlog.heads SET parked_seq = %(seq)s
WHERE partition = %(partition)s AND tenant = %(tenant)s AND session_id = %(session_id)s
