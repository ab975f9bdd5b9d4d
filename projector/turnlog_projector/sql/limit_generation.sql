-- What a generation to look at is called and is to hold.
UPDATE turnlog.generations SET
    name = %(name)s,
    until_recorded_at = %(until_recorded_at)s,
    until_seq = %(until_seq)s,
    tenant = %(tenant)s,
    session_id = %(session_id)s
WHERE generation = %(generation)s
