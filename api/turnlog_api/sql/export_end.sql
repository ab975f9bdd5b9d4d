-- What became of an export, by whoever ran it. One that is to begin again is not charged for this
-- attempt.
UPDATE turnlog.exports SET
    state = %(state)s,
    attempts = attempts - CASE %(state)s WHEN 'waiting' THEN 1 ELSE 0 END,
    lease_until = NULL,
    ended_at = CASE %(state)s WHEN 'waiting' THEN NULL ELSE now() END,
    expires_at = now() + make_interval(secs => %(keep_s)s),
    checked_at = started_at,
    error = %(error)s
WHERE export_id = %(export_id)s AND attempts = %(attempt)s AND state = 'running'
RETURNING export_id
