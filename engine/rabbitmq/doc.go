// Package rabbitmq is the connection to RabbitMQ 3.10 and later, which the
// rabbitmq backend of package event stands on.
//
//	e, err := rabbitmq.Open("amqps://app:secret@10.0.0.1,10.0.0.2/orders")
//	stream, err := event.New(eventrabbitmq.On(e))
//
// # Addresses
//
// "host", "host:port" or a URL whose path is the virtual host, and several hosts of
// one cluster with commas between; the port is 5672, with TLS 5671. Without a user
// it is guest, whom a server takes only from its own machine.
//
//	amqp://user:password@host:5672/vhost     the path is percent-encoded; none is the virtual host "/"
//	amqps://user:password@a,b,c/vhost        with TLS; one of the hosts is connected to, beginning with any
//
// # Semantics
//
// The client is amqp091-go, which speaks AMQP 0.9.1. A connection that breaks is made
// again by the next request that needs it, to any of the hosts, and after a failure
// not before a backoff of 20 ms to 1 s. What a backend had on it, it declares and
// consumes again itself.
//
// Messages are sent over one connection and read over another, since a server with
// an alarm (memory, disk) stops reading from connections that send. All that
// stands on the engine shares these two. The groups of a stream have two more for
// each length of AckWait, because the heartbeat of a connection is how the server
// finds that a member is dead.
//
// A client of your own can't be given: a connection of amqp091-go does not come
// back in a way that keeps what is published and acknowledged apart.
// WithClientOptions reaches its configuration.
//
// # Errors
//
// As in package engine. A virtual host that isn't there is engine.ErrDenied.
//
// # Closing
//
// Close closes the connections.
package rabbitmq
