-- Who may read a session `s`: its tenant, and there its user or, when it is visible to the tenant,
-- everybody. A caller without a user (a service, an operator) reads the whole tenant.
-- scope.py says the same in Python, for sessions that are not in the read models yet.
s.tenant = %(tenant)s
AND NOT s.erased
AND (s.user_id = %(user)s OR s.visibility = 'tenant') --? user
