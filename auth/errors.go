package auth

import (
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/jose"
)

// Errors of this package, for errors.Is. Each is the end of a message that
// names the backend and the operation. None says what in a token was wrong to
// anybody but the caller of this package: HTTP and gRPC peers see only that it
// was not accepted.
var (
	// ErrUnauthenticated: nobody, or somebody whose token is not accepted.
	ErrUnauthenticated = fault.Of("auth", fault.Unauthenticated)
	// ErrDenied: somebody known, who may not.
	ErrDenied = fault.Of("auth", fault.Denied)
	// ErrUnavailable: the authority could not be asked. Nobody is let in.
	ErrUnavailable = fault.Of("auth", fault.Unavailable)
	// ErrInvalid: an argument or option that can't be.
	ErrInvalid = fault.Of("auth", fault.Invalid)
	// ErrUnsupported: the backend has no such ability.
	ErrUnsupported = fault.Of("auth", fault.Unsupported)
	// ErrClosed: used after Close.
	ErrClosed = fault.Of("auth", fault.Closed)
)

// Finer reasons. Each of them is an ErrUnauthenticated too.
var (
	// ErrNoCredential: the caller showed nothing.
	ErrNoCredential = fault.Finer(ErrUnauthenticated, "no credential")
	// ErrExpired: the token's life is over.
	ErrExpired = fault.Of("auth", jose.ErrExpired)
	// ErrRevoked: the token was revoked, or its authority no longer knows it.
	ErrRevoked = fault.Finer(ErrUnauthenticated, "token revoked")
	// ErrAudience: the token is for another service.
	ErrAudience = fault.Finer(ErrUnauthenticated, "token for another service")

	errFuture = fault.Finer(ErrUnauthenticated, "token not valid yet")
)
