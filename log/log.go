package log

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// A Log hands out loggers and brings their records to the outputs. All methods
// are safe for concurrent use.
type Log interface {
	// Logger returns a logger whose records carry name in the attribute
	// "logger", and attrs. The name selects the level rule: "db.pool" follows
	// the rule of "db.pool", else that of "db", else that of "".
	Logger(name string, attrs ...slog.Attr) *slog.Logger
	// Handler is the handler of Logger(""), for slog.SetDefault and for
	// libraries that take a slog.Handler.
	Handler() slog.Handler
	// SetLevel makes or replaces the rule of name ("" is the root). With
	// revertAfter > 0 what applied before comes back by itself.
	SetLevel(name string, level slog.Level, revertAfter time.Duration)
	// Levels returns the rules that apply now.
	Levels() map[string]slog.Level
	// LevelHandler serves the rules: GET lists them as JSON; PUT or POST
	// ?name=db&level=debug&for=10m sets one. Protect it: who can call it can
	// fill a disk.
	LevelHandler() http.Handler
	Stats() []OutputStats
	// Flush returns when every record that was accepted before the call is
	// written or counted as lost, or when ctx ends, with an error that says
	// how many were lost since the last Flush.
	Flush(ctx context.Context) error
	// Close flushes, then releases the outputs. It is bounded by ctx and
	// returns an error that says how many records were lost since the last
	// Flush. Logging afterwards is counted and does nothing else.
	Close(ctx context.Context) error
}

// LevelFatal is the level of records after which a program can't go on. They
// are written before the call returns (see WithSyncAt); WithExit makes them end
// the process.
const LevelFatal = slog.LevelError + 4

// OutputStats counts what one output was given.
type OutputStats struct {
	Output       string
	Accepted     uint64 // records, those with which the log says what it dropped among them
	Written      uint64
	WrittenBytes uint64
	Dropped      uint64 // records that were lost: queue full, given up on, not encoded, or after Close
	DroppedBytes uint64
	Retries      uint64
	Errors       uint64
	QueueBytes   int // wait or are being written, now
	LastError    string
}
