// Package sync coordinates processes: locks, semaphores and leader election,
// with one meaning on every backend.
//
// It is imported as dsync, because the standard library has a package of the
// same name; the two share no exported name, so the compiler finds a mix-up.
//
//	import dsync "github.com/micro/go-platform/sync"
//
//	s, err := dsync.New(etcd.Backend("127.0.0.1:2379"))
//	lock, err := s.Lock(ctx, "reports")
//	if err != nil { … }
//	defer lock.Unlock(ctx)
//	err = write(lock.Context(), lock.Token())
//
// # Backends
//
// Memory is the default: locks within one process, and the reference for the
// others. The packages below this one add etcd, consul, redis, sql and kubernetes.
// WithDriver takes any other; Driver says what it must do and package locktest
// checks it.
//
//	            fair   TTL from         token                          hand-off by
//	memory      yes    any              counter                        channel
//	etcd        yes    2 s, whole       create revision of the claim   watch on the predecessor
//	consul      yes    10 s             modify index of the lock       blocking query
//	redis       no     any              clock of the server, rising    publish
//	sql         yes    100 ms           counter                        LISTEN, or polling up to 20 times a second
//	kubernetes  no     1 s, whole       version of the Lease           watch on the Lease
//
// # Semantics
//
// A lock is a lease: the backend keeps it until TTL has passed since it last
// heard of the holder, and the holder renews it every TTL/3 in the background.
// The holder's own deadline comes first: its context ends TTL/5 before the
// moment at which the backend could give the lock away, counted on the local
// monotonic clock from the moment at which the last confirmed renewal was sent.
// A holder that is cut off stops before its successor starts.
//
// A process that is stopped as a whole can't stop itself. It may go on for some
// instructions after it wakes up, and a write that it sent before may arrive
// after its successor's. No lock with a time limit prevents that. The token
// does: it rises with every grant of an id, and a resource that refuses smaller
// tokens than the largest it has seen (Fence, WriteFenced) is safe. A monotonic
// clock that stands still while the machine sleeps is the same case.
//
// Two callers within one process exclude each other as two processes do; there
// is no re-entrance. A lock, a semaphore and an election of one id are three
// things. Waiting callers are served in the order of their arrival where the
// backend is fair.
//
// # Errors
//
// Errors carry the kinds that this package exports as Err…, and what the
// backend said; test with errors.Is. The error of an ended context is returned
// as it is.
//
// # Closing
//
// Close ends waits and locks and releases them, within WithTimeout for all of
// them; what it can't release ends with its TTL. A client that was given with a
// backend's WithClient stays open.
package sync
