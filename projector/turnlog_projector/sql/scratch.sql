-- Read models for one session, gone with the transaction: like those of a generation.
CREATE TEMPORARY TABLE sessions (LIKE {g}.sessions INCLUDING ALL) ON COMMIT DROP;
CREATE TEMPORARY TABLE turns (LIKE {g}.turns INCLUDING ALL) ON COMMIT DROP;
CREATE TEMPORARY TABLE branches (LIKE {g}.branches INCLUDING ALL) ON COMMIT DROP;
CREATE TEMPORARY TABLE titles (LIKE {g}.titles INCLUDING ALL) ON COMMIT DROP;
CREATE TEMPORARY TABLE turn_revisions (LIKE {g}.turn_revisions INCLUDING ALL) ON COMMIT DROP;
CREATE TEMPORARY TABLE annotations (LIKE {g}.annotations INCLUDING ALL) ON COMMIT DROP
