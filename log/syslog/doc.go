// Package syslog sends records to a syslog server in the form of RFC 5424.
//
// # Backends
//
// "udp://host:port" (the default scheme, port 514; RFC 5426), "tcp://host:port"
// with a length before each message (RFC 6587), "tls://host:port" (RFC 5425),
// and "unixgram:///dev/log" for the local one.
//
// # Semantics
//
// The severity follows the level: debug, info, warning, error, and critical from
// log.LevelFatal up. The logger is the message id. The message is followed by
// the attributes as key=value pairs. A message over UDP or a Unix socket that
// does not fit is cut at 8 KiB (WithMaxDatagram).
//
// # Errors
//
// What can't be reached is ErrUnavailable and tried again for as long as the
// queue holds. The protocol has no acknowledgement: see log/logstash.
package syslog
