// Package logstash sends records to Logstash, or to anything else that reads
// JSON lines: Vector, Filebeat, Telegraf, rsyslog.
//
// # Backends
//
// "tcp://host:port" (the default scheme) and "tls://host:port" for an input with
// the codec json_lines, "udp://host:port" for one with the codec json.
//
// # Semantics
//
// A record is an event of Logstash's version 1: "@timestamp" in milliseconds,
// "@version":"1", level, logger, host, message, and the attributes.
//
// The protocol has no acknowledgement. When a connection breaks, what the
// system had taken from it and not delivered is lost without a trace; a record
// of which a part was taken is sent again whole. Over UDP a record is a
// datagram; one that does not fit is dropped and counted.
//
// # Errors
//
// What can't be reached is ErrUnavailable and tried again for as long as the
// queue holds.
package logstash
