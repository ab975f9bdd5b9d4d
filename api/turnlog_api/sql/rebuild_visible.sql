(r.options::json ->> 'tenant' IS NULL OR r.options::json ->> 'tenant' = %(tenant)s)
