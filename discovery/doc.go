// Package discovery is service discovery: instances register where they can be
// reached, and clients find the instances of a service and follow changes.
//
//	d, err := discovery.New(consul.Backend("127.0.0.1:8500"))
//	r, err := d.Register(ctx, discovery.Instance{Service: "greeter", Address: "10.0.0.7:8080"})
//	defer r.Deregister(ctx)
//
//	s, err := d.Get(ctx, "greeter")      // follows the service from here on
//	s, ok := d.Lookup("greeter")         // this process's memory; nanoseconds
//
// Writing and reading are apart. A registration is kept alive by heartbeats. A
// read comes from a snapshot in this process, which one watch per service keeps
// up to date for everyone who asks:
//
//	Register ── heartbeats ─▶ registry ── one watch per service ─▶ snapshot ◀─ Lookup, Get, Watch
//
// # Backends
//
// In this package: a registry in memory, private or shared by Memory. In
// folders below: consul, etcd, redis, sql and kubernetes; relay, which reads from
// a process that serves its own snapshots; static and dns, which only read.
// Without one, New makes a private memory registry.
//
// # Semantics
//
// An instance that stops without a word (kill −9) is gone from every reader
// within its TTL and a second. One that deregisters is gone at once, also if it
// is the last: an empty set is a set like others.
//
// An entry belongs to the registration that wrote it. Another process with the
// same id is refused with ErrExists, unless it has the same address or asks to
// Replace; its heartbeats and its goodbye don't touch what isn't its own.
//
// When the registry is unavailable, snapshots stay and become Stale; AsOf says
// what moment they show. Nothing is dropped because the reader can't reach the
// registry. Registrations are renewed for as long as it takes, with jitter, so
// a registry that comes back empty fills again by itself. Meanwhile readers keep
// every instance that the registry has lost until it registers again, or its
// TTL has passed since: Snapshot.Unconfirmed counts them. Where the registry falls
// silent again within each TTL, they stay until it no longer does. The same holds for what
// expires in a registry that was paused, and broke no connection: a process that
// follows instances and hears nothing else from the registry for .45 of their TTL
// asks it for a sign of life, and so knows when it was silent.
//
// Self-preservation: if many instances of a service expire within their TTL,
// rather than deregister, and no others have come, readers keep them, flagged,
// for a bounded time; see WithPreservation.
//
// Changes returns what has happened to the instances of a service that is
// followed, as far as this process has seen and remembers it.
//
// Snapshots are shared and immutable. A service is followed from the first Get
// or Watch until nobody has asked for it, also by Lookup, for WithIdle.
//
// # Errors
//
// ErrInvalid, ErrExists, ErrDenied, ErrUnavailable, ErrUnknownOutcome, ErrUnsupported,
// ErrStale and ErrClosed, by errors.Is; the backend's own error is reachable
// too. A context that ended is reported as itself.
//
// # Closing
//
// Close deregisters what was registered, within WithTimeout, ends all watches
// and waits for its goroutines. A client that the user brought stays open.
package discovery
