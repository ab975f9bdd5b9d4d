-- A session that was folded afresh from its first event to its last is parked no longer.
WITH gone AS (
    DELETE FROM turnlog.parked
    WHERE tenant = %(tenant)s AND session_id = %(session_id)s AND state = 'parked'
)
UPDATE turnlog.heads SET parked_seq = NULL
WHERE partition = %(partition)s AND tenant = %(tenant)s AND session_id = %(session_id)s
    AND parked_seq IS NOT NULL
