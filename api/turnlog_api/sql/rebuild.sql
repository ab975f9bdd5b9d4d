-- One rebuild; those of a session are shown to the operators of its tenant.
SELECT {rebuild_item}
FROM turnlog.rebuilds AS r
WHERE r.rebuild = %(rebuild)s::bigint AND {rebuild_visible}
