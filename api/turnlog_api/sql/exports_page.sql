-- Exports before one, the newest first: the id of each, and the item.
SELECT e.export_id, {export_item}
FROM turnlog.exports AS e
WHERE e.export_id < %(before)s AND {export_mine}
ORDER BY e.export_id DESC
LIMIT %(limit)s::bigint
