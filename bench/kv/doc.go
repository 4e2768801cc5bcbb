// Package kv measures package kv against what people use otherwise, in one run,
// and prints the ratios:
//
//	go test -run '^$' -bench . ./kv
package kv
