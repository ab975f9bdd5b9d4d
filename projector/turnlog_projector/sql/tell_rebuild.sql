-- How far a rebuild is; answers whether it is to be cancelled.
UPDATE turnlog.rebuilds SET phase = %(phase)s, done = %(done)s, total = %(total)s
WHERE rebuild = %(rebuild)s
RETURNING cancel
