package db

import "database/sql"

// SQL returns the SQL transaction that tx is, so that statements of your own, or
// an outbox, are part of it: they are committed with tx's writes, or not at all.
// Do not commit it or roll it back: that is the end of Tx's function. Return the errors
// of statements: after one with which the database rolls back, as MySQL at a deadlock,
// the later ones fail, and so does the commit. MySQL on a *sql.DB of your own
// (engine/sql.FromDB) would commit each of them by itself.
//
// SQL reports false where tx is no transaction, or none of an SQL database.
func SQL(tx DB) (*sql.Tx, bool) {
	for { // what is put around a database, such as wrapper/store
		around, ok := tx.(interface{ Unwrap() DB })
		if !ok {
			break
		}
		tx = around.Unwrap()
	}
	x, ok := tx.(*txDB)
	if !ok || x.ended.Load() {
		return nil, false
	}
	e, ok := x.t.(executor)
	if !ok {
		return nil, false
	}
	t, ok := e.Execer().(*sql.Tx)
	return t, ok
}
