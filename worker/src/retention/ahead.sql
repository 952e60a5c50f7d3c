SELECT flota_ensure_partitions($1, $2)
