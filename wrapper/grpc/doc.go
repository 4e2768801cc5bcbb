// Package grpc puts a wrapper around gRPC servers and clients, and makes the
// router choose the instance of each call.
//
//	s := grpc.NewServer(wgrpc.ServerOptions(w)...)
//	c, err := wgrpc.NewClient(w, "greeter", grpc.WithTransportCredentials(…))
//	greeter := pb.NewGreeterClient(c) // finds, balances, retries, traces
//
// # Semantics
//
// The order is that of package wrapper. A method is the full one
// ("/greeter.Greeter/Hello"); on a server, methods that it does not have are
// counted under "_OTHER". Labels and the request's identity travel as
// metadata, deadlines as gRPC's own.
//
// Unary calls are sent again when they certainly were not processed, and, if
// they are idempotent (by the method's idempotency_level, or WithIdempotent),
// when the server is unavailable or refuses work; "grpc-retry-pushback-ms" is
// obeyed. Streams are not sent again. A stream's call ends when it does: at
// io.EOF, an error, or the end of its context. A status that the server answered
// with is never taken for a failed connection, though gRPC calls both
// Unavailable.
//
// A Client asks the router for an instance at each attempt, and keeps one
// connection to each instance that it has called. That to an instance which left
// discovery is closed when its calls and streams have ended, or after WithDrain.
// Certificates are checked against the service's name. For a *grpc.ClientConn the
// router is a balancer of gRPC's, which RegisterBalancer names and nothing
// registers by itself:
//
//	err := wgrpc.RegisterBalancer("by_router", w) // at the start of main
//	cc, err := wgrpc.NewConn(w, "by_router", "greeter", nil, credentials)
//
// It picks for each attempt, also those that gRPC makes by itself, and tells
// the router how each went. An instance is connected to when it is picked for
// the first time. One that can't be reached is told to the router and passed
// over; if none can, the call is Unavailable at once, also one that would wait
// until its connection is ready. The interceptors alone are for connections
// that balance in another way.
//
// WithServerTimeout, WithClientTimeout and WithAttemptTimeout bound unary
// calls, and WithStreamTimeout streams. A unary call that is answered after its
// deadline ends with DeadlineExceeded. WithLoadReport goes out in the trailer "x-load".
//
// # Errors
//
// A refused call ends with Unauthenticated, PermissionDenied, ResourceExhausted
// or Unavailable, a panic with Internal.
//
// # Closing
//
// A Client is closed by its user, and closes its connections.
package grpc
