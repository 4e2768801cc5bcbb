// Package engine has what the engines below it share: one engine is one server,
// or one cluster of servers, that backends of several packages stand on.
//
//	e, err := redis.Open("rediss://10.0.0.1:6379", redis.WithAuth("app", password)) // engine/redis
//	store, err := kv.New(kvredis.On(e))
//	locks, err := sync.New(syncredis.On(e))
//
// An engine holds everything about the connection: forms of the address, TLS,
// credentials, timeouts, pools, and the vendor's own client. The options of a
// backend are about its package's matter. A backend that is given an address
// opens an engine with the defaults and closes it.
//
// # Semantics
//
// Open reports bad input and connects to nothing; New of the packages asks the
// server for a sign of life. An engine is safe for concurrent use, and shared by
// as many backends as a program wants, over one pool of connections.
//
// # Errors
//
// Bad input of Open is ErrInvalid. Ping of an engine returns ErrUnavailable or
// ErrDenied.
//
// # Closing
//
// Close what stands on an engine, then the engine. Close leaves a client open that
// the program brought. What is used after that fails with ErrUnavailable of its
// package.
package engine

import "github.com/micro/go-platform/internal/fault"

// Errors that engines return, to be compared with errors.Is.
var (
	ErrInvalid     = fault.Of("engine", fault.Invalid)     // bad input: an address, an option
	ErrUnavailable = fault.Of("engine", fault.Unavailable) // the server does not answer, or the engine was closed
	ErrDenied      = fault.Of("engine", fault.Denied)      // the server refuses the credentials
	ErrClosed      = fault.Of("engine", fault.Closed)      // the set was closed
)
