// Package discovery measures package discovery: a read from the cache, and a
// fleet of 10 000 instances of 200 services on every backend.
//
//	go test -run - -bench Lookup ./discovery
//	go test -run - -bench Fleet -benchtime 1x ./discovery
//
// Fleet reports, for a process that starts to follow all services: the time
// until it has all of them, the memory that they take in it, and the time from
// one registration until that process sees it.
package discovery
