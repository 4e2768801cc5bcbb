package cassandra

import (
	"context"
	"log/slog"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

// logger gives the client's reports to a slog.Logger.
type logger struct{ to *slog.Logger }

func (l logger) log(level slog.Level, message string, fields []gocql.LogField) {
	if !l.to.Enabled(context.Background(), level) {
		return
	}
	attrs := make([]slog.Attr, len(fields))
	for i, f := range fields {
		attrs[i] = slog.String(f.Name, f.Value.String())
	}
	l.to.LogAttrs(context.Background(), level, "cassandra: "+message, attrs...)
}

// What gocql.StructuredLogger asks for.

func (l logger) Error(m string, f ...gocql.LogField)   { l.log(slog.LevelError, m, f) }
func (l logger) Warning(m string, f ...gocql.LogField) { l.log(slog.LevelWarn, m, f) }
func (l logger) Info(m string, f ...gocql.LogField)    { l.log(slog.LevelInfo, m, f) }
func (l logger) Debug(m string, f ...gocql.LogField)   { l.log(slog.LevelDebug, m, f) }
