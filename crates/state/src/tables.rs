//! The state as SQL tables: each is a query over SQLite and a list of typed columns.
