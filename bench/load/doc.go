// Package load puts open-loop load on ten server processes over real sockets,
// of which one is slow and one is killed half way, and prints the 99th
// percentile of each strategy beside that of the simulation, and that of the
// rules of others.
//
//	go test -run '^$' -bench . ./load
//
// The servers share four pretended cores between the requests that they hold,
// as those of the simulation do, and work three times as long, so that the
// cores of one machine are enough for all. Times are therefore given as
// multiples of the mean work of a request.
package load
