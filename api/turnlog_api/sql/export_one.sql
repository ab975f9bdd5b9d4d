-- One export.
SELECT {export_item}
FROM turnlog.exports AS e
WHERE e.export_id = %(export_id)s AND {export_mine}
