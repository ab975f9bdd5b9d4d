-- Remove an export, whatever it is at; its pieces go with it.
DELETE FROM turnlog.exports AS e
WHERE e.export_id = %(export_id)s AND {export_mine}
RETURNING e.export_id
