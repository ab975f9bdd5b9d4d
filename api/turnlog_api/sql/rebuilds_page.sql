-- Rebuilds before one, the newest first: the number of each, and the item.
SELECT r.rebuild, {rebuild_item}
FROM turnlog.rebuilds AS r
WHERE r.rebuild < %(before)s::bigint AND {rebuild_visible}
ORDER BY r.rebuild DESC
LIMIT %(limit)s::bigint
