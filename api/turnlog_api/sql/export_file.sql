-- What there is to know of a file before it is sent.
SELECT e.state, e.format, e.bytes, e.attempts, e.ended_at, e.options
FROM turnlog.exports AS e
WHERE e.export_id = %(export_id)s AND {export_mine}
