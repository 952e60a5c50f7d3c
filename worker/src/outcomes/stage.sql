-- Somewhere to copy rows to of which some are already there; gone with the transaction.
CREATE TEMP TABLE staged_outcomes (LIKE outcomes INCLUDING DEFAULTS) ON COMMIT DROP;
CREATE TEMP TABLE staged_attempts (LIKE attempts INCLUDING DEFAULTS) ON COMMIT DROP;
