-- The pieces of an attempt that came to nothing.
DELETE FROM turnlog.export_chunks WHERE export_id = %(export_id)s AND attempt = %(attempt)s
