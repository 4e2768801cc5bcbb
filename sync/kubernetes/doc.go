// Package kubernetes keeps locks and elections of package sync in Leases of
// Kubernetes (coordination.k8s.io/v1).
//
//	s, err := sync.New(kubernetes.Backend("in-cluster"))
//	s, err := sync.New(kubernetes.On(e)) // e from engine/kubernetes
//
// # Backends
//
// A lock or an election is one Lease in the namespace of the engine, as
//
//	sync-lock.default.reports      what, namespace of package sync, id
//
// with a SHA-256 instead of a namespace or an id that can't be part of a name. It
// takes the verbs get, list, watch, create and update on leases, and for locks
// delete. Nothing is kept in memory only: the API server may restart.
//
// The Lease of a lock is deleted about a second after it was released. That of a
// holder that died stays until the id is used again, as do those of elections.
//
// # Semantics
//
// The fields of a Lease mean what they mean to client-go's leader election
// (holderIdentity, leaseDurationSeconds, acquireTime, renewTime,
// leaseTransitions), and every write names the version that it changes. So
// candidates of both kinds take turns on one Lease: see [WithElection]. The
// holderIdentity is the owner, "_", and something unique. Another program's
// leader is a Candidate without a token.
//
// The fencing token is the object's version that the grant made. Versions are
// those of etcd's whole store, so tokens rise also after the Lease was deleted
// and made again, unlike leaseTransitions, for as long as etcd keeps its data; a
// restored backup begins at the version of that time. An API server whose
// versions are no numbers is ErrUnsupported.
//
// No clock of another machine matters. A holder that is silent is followed when
// nobody has seen it renew for its leaseDurationSeconds, counted from when its
// last renewal was seen by who waits. One that begins to wait only later waits
// for the whole time, and so TryLock finds a lock held whose holder has died,
// until this process has seen it silent for so long.
//
// A waiter watches the Lease, so it hears of a release at once; all who follow
// one Lease over one engine share a watch, and of the waiters of one process one
// asks. The order is not that of arrival. TTLs are whole seconds, of at least
// one. A lock that is renewed costs a write each third of its TTL, which counts
// against the engine's own limit of requests and the API server's: keep TTLs
// long where locks are many. Semaphores are ErrUnsupported, since a Lease has
// one holder.
//
// # Errors
//
// As in package sync. A missing right is ErrDenied and names what was refused.
//
// # Closing
//
// Close deletes the Leases of locks that were released just now. It closes the
// engine of Backend, not one that was given to On.
package kubernetes
