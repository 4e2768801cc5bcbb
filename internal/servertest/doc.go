// Package servertest starts real servers for tests, in the manner of net/http/httptest.
//
//	func TestGet(t *testing.T) {
//		addr := servertest.SharedRedis(t).Addr()
//		…
//	}
//
// # Servers
//
// Redis, Memcached, Etcd and so on start a server of the test's own on free loopback ports and
// kill it when the test ends: for tests that pause, kill or restart it. SharedRedis and so on
// start one server for the whole test binary on first use: for tests that need no more than a
// [Namespace] of their own, which is most of them.
//
// With KEEP_SERVERS=dir in the environment, from [Keep], servers that take long to start are left
// running for the next test binary: for who runs one again and again.
//
// A server that is not installed skips the test and names what is missing; with REQUIRE_SERVERS=1
// in the environment it fails the test instead. scripts/servers ("make servers") installs all.
//
// # Processes
//
// [RunRole] and [Child] run functions of the test package in processes of their own, for tests that
// need several of them to pause and kill.
//
// # Leaks
//
// The package keeps no goroutine. A watchdog, a shell that waits for the test binary's end by
// whatever cause, kills what is left and removes its files.
package servertest
