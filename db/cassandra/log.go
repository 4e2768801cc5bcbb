package cassandra

import (
	"context"
	"log/slog"
	"sync"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

// logger gives the client's reports to a slog.Logger. They are also the only
// way to know that the client is making a new connection to follow the
// cluster's state by.
type logger struct {
	to *slog.Logger

	mu   sync.Mutex
	busy chan struct{} // closed when that has ended; nil: it is not making one
}

func newLogger(to *slog.Logger) *logger { return &logger{to: to} }

func (l *logger) log(level slog.Level, message string, fields []gocql.LogField) {
	l.mu.Lock()
	switch message {
	case "Reconnecting the control connection.":
		if l.busy == nil {
			l.busy = make(chan struct{})
		}
	case "Refreshed ring.", "Unable to refresh ring.", "Unable to reconnect control connection.":
		if l.busy != nil {
			close(l.busy)
			l.busy = nil
		}
	}
	l.mu.Unlock()
	if !l.to.Enabled(context.Background(), level) {
		return
	}
	attrs := make([]slog.Attr, len(fields))
	for i, f := range fields {
		attrs[i] = slog.String(f.Name, f.Value.String())
	}
	l.to.LogAttrs(context.Background(), level, "cassandra: "+message, attrs...)
}

// settle waits until no new connection is being made, and reports whether that
// is so in time.
func (l *logger) settle(limit time.Duration) bool {
	l.mu.Lock()
	busy := l.busy
	l.mu.Unlock()
	if busy == nil {
		return true
	}
	select {
	case <-busy:
		return true
	case <-time.After(limit):
		return false
	}
}

// What gocql.StructuredLogger asks for.

func (l *logger) Error(m string, f ...gocql.LogField)   { l.log(slog.LevelError, m, f) }
func (l *logger) Warning(m string, f ...gocql.LogField) { l.log(slog.LevelWarn, m, f) }
func (l *logger) Info(m string, f ...gocql.LogField)    { l.log(slog.LevelInfo, m, f) }
func (l *logger) Debug(m string, f ...gocql.LogField)   { l.log(slog.LevelDebug, m, f) }
