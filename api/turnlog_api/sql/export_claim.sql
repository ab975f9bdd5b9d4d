-- Take the export that has waited longest; no row: there is none.
SELECT export_id, tenant, owner, options, attempts
FROM turnlog.claim_export(make_interval(secs => %(lease_s)s), %(most_attempts)s)
