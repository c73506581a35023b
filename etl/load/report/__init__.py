"""What a report needs of the database, counted there: hours, days and durations in SQL that both databases know."""
