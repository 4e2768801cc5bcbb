// Package db measures package db on SQLite and PostgreSQL against statements
// prepared by hand on database/sql, on a table with a column for each key and the
// same indexes, and on SQLite against GORM on that table, and prints the ratios:
//
//	go test -run '^$' -bench . -benchtime 1x -v ./db
package db
