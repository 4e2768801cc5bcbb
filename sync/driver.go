package sync

import (
	"context"
	"time"
)

// Driver is what a backend does. Ids, namespaces, deadlines, renewal, loss,
// error wrapping and clean-up are the front's. All methods of a Driver may be
// called concurrently.
//
// Errors are kinds of this package, alone or with a cause. The front adds
// package, operation and id.
//
//  1. A claim is one attempt to hold a key. Its Owner says who; its Nonce is
//     never used twice, so two claims are strangers even within one process.
//  2. A key has a limit of holders: 1 for locks and elections. Claims of one
//     key with another limit fail with ErrConflict.
//  3. A grant has a token, greater than that of every earlier grant of the key,
//     also after the key was deleted, and after a restart as far as the
//     backend's storage allows.
//  4. A granted claim ends by Release, or by itself when TTL has passed since
//     the last renewal that the backend saw. Nothing else ends it.
//  5. A time "until" is the local clock, read before the request was sent, plus
//     the TTL that the backend gave. It must not be later: the holder trusts it.
//  6. Acquire is replay-safe: a request that was repeated because its reply was
//     lost finds the claim's own grant.
//  7. Release is for granted, waiting and doubtful claims alike, and final: a
//     request of Acquire that is still on its way must find nothing to grant
//     when it arrives after Release.
type Driver interface {
	// Claim prepares a claim. It does no I/O.
	Claim(r Request) Claim

	// Holder returns who holds key, which has limit 1; ErrNoLeader if nobody.
	Holder(ctx context.Context, key string) (Candidate, error)

	// Watch reports who holds key, then every change; the zero Candidate is
	// nobody. It returns when ctx ends or when it can no longer see every
	// change; the front calls it again. Idle, it costs at most one request for
	// each poll period of the backend.
	Watch(ctx context.Context, key string, report func(Candidate)) error

	// Features says what the backend can do, without I/O.
	Features() Features

	// Ping returns nil if the backend answers, else ErrUnavailable with the
	// address.
	Ping(ctx context.Context) error

	// Close gives the driver's connections back. The front has released all
	// claims that it could.
	Close() error
}

// Adviser is a driver that can see that its backend is set up so that locks may
// be lost. New asks once and logs the advice as a warning; "" is none.
type Adviser interface {
	Advice(ctx context.Context) string
}

// Claim is one attempt to hold a key.
type Claim interface {
	// Acquire waits until the claim is granted. Without wait it returns ErrHeld
	// if somebody holds the key or waits for it. It fails fast with
	// ErrUnavailable if its first request does; once it waits, it keeps its
	// place alive, rides out outages, and returns ErrLost if it lost its place.
	//
	// After ErrHeld, ErrUnavailable, ErrDenied, ErrConflict and ErrInvalid nothing
	// is left of the claim. After any other error the front calls Release.
	Acquire(ctx context.Context, wait bool) (Grant, error)

	// Renew extends a grant by TTL. ErrLost is proof that the claim is no
	// longer held; after any other error the front tries again.
	Renew(ctx context.Context) (until time.Time, err error)

	// Release ends the claim. It returns ErrLost if the claim was gone before
	// or must have ended by itself meanwhile. After any other error the front
	// calls it again; after nil and ErrLost it doesn't. Calls are never
	// concurrent with each other or with those of Acquire and Renew.
	Release(ctx context.Context) error
}

// Request says what a claim is for.
type Request struct {
	Key     string        // printable ASCII with '/' only between the front's parts; no prefix of another key and a '/'
	Owner   string        // for people and for Candidate
	Nonce   string        // unique for all time; printable ASCII
	TTL     time.Duration // within Features
	Limit   int           // of holders
	Timeout time.Duration // of each request to the backend that Acquire and Release make
	Watched bool          // an election: Watch must hear of the grant, not only of its end
}

// Grant is what Acquire obtained.
type Grant struct {
	Token uint64
	Until time.Time // see rule 5
}

// Features says what a backend can do.
type Features struct {
	Backend string        // "memory", "etcd"; set by New
	Limits  bool          // keys may have limits above 1: semaphores
	Fair    bool          // claims are granted in the order of their arrival, over all processes
	Lists   bool          // List works; set by New
	Durable bool          // tokens rise and locks live on over a restart of the backend
	MinTTL  time.Duration // shorter TTLs are raised to it
	TTLStep time.Duration // TTLs are rounded up to a multiple of it
	Delay   time.Duration // a lost lock is given to nobody for this long
}
