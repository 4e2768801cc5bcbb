// Package kafka is the connection to Apache Kafka 2.8 and later, and to what
// speaks its protocol, which the kafka backend of package event stands on.
//
//	e, err := kafka.Open("10.0.0.1:9092,10.0.0.2:9092")
//	stream, err := event.New(eventkafka.On(e))
//
// # Addresses
//
// "host", "host:port" or a URL, and several of one cluster with commas between;
// the port is 9092, with TLS 9093. One broker that answers is enough: it names the
// others.
//
//	kafka://user:password@host:9092           SASL PLAIN; WithSCRAM256 and WithSCRAM512 for SCRAM
//	kafkas://host:9093                        with TLS
//
// # Semantics
//
// The client is franz-go. One client asks and reads for all that stands on the
// engine. A stream that publishes has a client of its own, as its limits are those
// of one topic, and so has each member of a group, as Kafka ties membership to a
// client. No request that changes something is sent twice, except where Kafka
// recognizes the repetition.
//
// # Errors
//
// As in package engine.
//
// # Closing
//
// Close closes the connections. A client given to FromClient stays open.
package kafka
