// Package db measures package db on SQLite against the same statements,
// prepared by hand on database/sql, and against GORM, on the same tables and the
// same SQLite, and prints the ratios:
//
//	go test -run '^$' -bench . -benchtime 1x -v ./db
package db
