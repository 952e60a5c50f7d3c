INSERT INTO audit_log (actor, action, subject, tenant, detail) VALUES ($1, $2, $3, $4, $5)
