-- Ask for a rebuild to be broken off; one that has ended stays as it is.
UPDATE turnlog.rebuilds AS r SET cancel = true
WHERE r.rebuild = %(rebuild)s AND r.state IN ('waiting', 'running') AND {rebuild_visible}
RETURNING r.rebuild
