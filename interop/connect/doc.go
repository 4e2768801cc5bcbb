// Package connect holds tests that put the library on both sides of connect-go:
// the protocols Connect, gRPC and gRPC-Web; and around grpc-gateway.
package connect
