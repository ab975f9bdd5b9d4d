-- Whose exports a reader sees: their own, or those of the tenant that they read.
e.tenant = %(tenant)s
AND e.owner = %(user)s --? user
