-- What became of a rebuild. One that is to begin again is not charged for this attempt.
UPDATE turnlog.rebuilds SET
    state = %(state)s,
    attempts = attempts - CASE %(state)s WHEN 'waiting' THEN 1 ELSE 0 END,
    ended_at = CASE %(state)s WHEN 'waiting' THEN NULL ELSE now() END,
    phase = %(phase)s,
    done = %(done)s,
    total = %(total)s,
    generation = %(generation)s,
    former = %(former)s,
    digest = %(digest)s,
    error = %(error)s
WHERE rebuild = %(rebuild)s AND state = 'running'
