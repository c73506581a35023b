"""Workers: processes, also on several machines, that share the syncs of many accounts. They need PostgreSQL."""
