//go:build !race

package sql_test

// searches is how many random searches are compared with the model.
const searches = 10_000
