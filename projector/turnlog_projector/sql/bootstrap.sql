-- What migrations themselves need.
CREATE SCHEMA IF NOT EXISTS turnlog;
CREATE TABLE IF NOT EXISTS turnlog.migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
