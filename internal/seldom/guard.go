package seldom

import (
	"log/slog"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// Guard calls a function of the user's own that can't fail what it is notified of. Its
// panic is logged with the message, which is the kind of the line, and the attributes.
func (g *Gate) Guard(l *slog.Logger, message string, f func(), attrs ...any) {
	err := fault.Guard(func() error { f(); return nil })
	if err == nil {
		return
	}
	pass, dropped := g.Pass(message, time.Now())
	if pass {
		l.Error(message, append(attrs, "error", err, "dropped", dropped)...)
	}
}
