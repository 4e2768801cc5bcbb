// Package sim is a seeded discrete-event simulation of clients that balance
// their load over servers. It drives the real router through a clock of its
// own, and prints the 99th percentile as a multiple of what an omniscient
// oracle reaches on the same arrivals.
//
//	go test -run '^$' -bench . ./sim
//
// Servers share their cores between the requests that they hold (processor
// sharing); the work of a request is log-normal; arrivals are Poisson and do
// not wait for answers; what takes a second is an error and is cancelled.
package sim
