// Package router measures what one choice of an instance costs here and in
// other libraries, in one process and one run:
//
//	go test -run '^$' -bench . ./router
package router
