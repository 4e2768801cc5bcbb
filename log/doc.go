// Package log writes the structured records of log/slog to one or several
// outputs: standard output, rotated files, log servers. Code that logs uses a
// *slog.Logger and imports log/slog alone; main imports this package.
//
//	l, err := log.New(log.ToStdout(log.JSON()), logstash.Backend("tcp://127.0.0.1:5000"),
//		log.WithLevel("", slog.LevelInfo), log.WithContext(trace.ContextAttrs))
//	defer l.Close(ctx)
//	db := l.Logger("db.pool")
//	db.InfoContext(ctx, "connected", "address", addr)
//
// It exports no name that the standard library's log has, so that the wrong
// import does not compile.
//
// # Backends
//
// Outputs, any number at once; those with the same encoding share its work.
//
//	ToStdout, ToWriter   JSON, Logfmt or Human lines; the default is JSON on stdout
//	ToFile               rotated by size and time, old ones compressed and removed
//	Memory               the newest records, for tests and pages
//	log/logstash         JSON lines over TCP, TLS or UDP
//	log/fluentd          the forward protocol with acknowledgements
//	log/otlp             OTLP over HTTP: the OpenTelemetry collector, Loki
//	log/syslog           RFC 5424 over UDP, TCP, TLS or a local socket
//	log/events           records as events of a stream
//
// # Semantics
//
//	slog.Logger ─ level rule ─ rate limit ─ encode ─┬─ queue ─ worker ─ output
//	  (caller's goroutine)                          └─ queue ─ worker ─ output
//
// A record is encoded before the call returns, so nothing of the caller's is
// kept. Then it waits in the queue of each output, which is bounded in bytes
// (QueueBytes). No output breaks or slows the caller: what finds a queue
// full is dropped, counted, and noted in the stream itself ("log: records
// dropped") once the output takes records again. Records from level Error up
// are written to stdout, files and writers before the call returns, so that a
// program may log an error and exit; those from LevelFatal up to every output
// (WithSyncAt). Others are written within 10 ms.
//
// Attributes and groups of a record whose keys are the record's own (time, level, msg,
// logger, source) get "attr." in front. Times are in UTC.
//
// # Errors
//
// New returns ErrInvalid for options that can't be and ErrUnavailable for an
// output that can't be opened or doesn't answer. Logging has no errors: Stats
// counts, Flush and Close return ErrDropped with the number of lost records, and
// WithErrors sets what is called with the errors of outputs (the default writes
// them to stderr: one that repeats once, and at most one in ten seconds).
//
// # Closing
//
// Close writes what waits, bounded by its context, and counts the rest as lost.
// Logging afterwards is counted and does nothing else.
package log
