//go:build !race

package db_test

// searches is how many random searches are compared with the model.
const searches = 10_000
