-- How far an export is, by whoever runs it: no row when somebody else does, or nobody is to.
UPDATE turnlog.exports SET
    lease_until = now() + make_interval(secs => %(lease_s)s),
    sessions = %(sessions)s, total_sessions = %(total_sessions)s, missing = %(missing)s,
    done = %(done)s, total = %(total)s, bytes = %(bytes)s
WHERE export_id = %(export_id)s AND attempts = %(attempt)s AND state = 'running'
RETURNING export_id
