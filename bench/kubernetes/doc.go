// Package kubernetes measures discovery/kubernetes against the informer of
// client-go, which programs in clusters use otherwise: 2000 endpoints of 20
// Services, on a real API server.
//
//	go test -run - -bench . -benchtime 1x ./kubernetes
//
//	sync-ms, sync-cpu-ms   from nothing until all endpoints are there: connection, lists, sets of addresses; best of ten
//	seen-ms, seen-p99-ms   from the write of a slice until the set of its Service has it: median and 99th of 100
//	change-cpu-ms          processor time of a change, the writer's in it, which is the same for both
//	rest-cpu-ms            processor time of ten seconds in which nothing happens
//	heap-kib               what the process keeps of the 2000 endpoints
package kubernetes
