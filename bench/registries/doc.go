// Package registries puts discovery beside the registries of other toolkits:
// go-micro's, kratos' and go-kit's on etcd and Consul, go-zero's and gRPC's on
// etcd.
//
//	go test -run - -bench . -benchtime 1x ./registries
//
// Six instances of a service, each a process of its own, and one process that
// follows the service, on a registry of their own, with the same TTL for all.
// What happens is the same for all: instances start, nothing happens, one is
// killed, three are killed at once, one is killed and starts again elsewhere
// under its id, the registry loses its data, and the registry is down for two
// TTLs. A watcher asks the follower every few milliseconds what it offers.
//
//	change-ms        from Register to the follower's offer, median
//	requests-idle    requests, or packets, a second when nothing happens: six heartbeats and the follower
//	dead-ms          how long an instance was offered after kill -9, the longest of three
//	three-dead-ms    the same for the last of three that were killed at once
//	restart-ms       until a restarted instance was offered at its new address
//	wipe-missing     living instances that the follower missed at once, at most, while the registry was empty
//	wipe-missing-s   how long the follower missed each of them, summed
//	wipe-registered  how many a new follower finds four TTLs and ten seconds later: six, or seven after the outage, are all
//	wipe-change-ms   how long the old follower then takes to see a new instance; 22 s are given
//	outage-…         the same for the outage
//
// Each is used as its documents show it, and the missing parts as its users write
// them: peer.go says which.
package registries
