// Package consul is a backend of package discovery on HashiCorp Consul, 1.10
// and newer.
//
//	d, err := discovery.New(consul.Backend("127.0.0.1:8500"))
//
// # Backends
//
// It talks to an agent, as a rule the one on the same host: an instance
// belongs to the agent that it was registered with. Several addresses,
// "a:8500,b:8500", are tried in turn; when one agent is lost, the next
// heartbeat registers with another.
//
// # Semantics
//
// An instance is an agent service with a TTL check, so Consul's own user
// interface, DNS and other clients see it. Everything that Consul has no field
// for is in the service's Meta under "go-platform-…". Services that others
// registered are read too: their Meta are the labels, "version" and "zone" of
// it fill those fields; one without a port is left out. A service with a namespace is
// called "namespace~service".
//
// An instance whose check, or node, is critical has expired. One in
// maintenance mode is Draining. Expired services are removed by Consul after
// four times their TTL, at least a minute.
//
// Consul has no conditional write of a service: Register first asks whether
// another process has the id. Two that register one id at the same moment at
// two agents are both in the registry.
//
// An agent registers one instance after another, and goes through all that it has
// for each: the first hundreds take some milliseconds each, 2000 on one agent half
// a minute, by its own client as well.
//
// Readers hold one blocking query, of 30 s (WithWait), for each of 16 services,
// and one for all further services together (WithQueries).
//
// # Errors
//
// As in package discovery. An instance (its labels, its endpoints) of more than 28 KiB is
// discovery.ErrTooLarge.
//
// # Closing
//
// Close closes the engine that Backend opened; one given to On stays open.
package consul
