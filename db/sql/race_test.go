//go:build race

package sql_test

// searches is how many random searches are compared with the model: the race
// detector makes them ten times as slow.
const searches = 250
