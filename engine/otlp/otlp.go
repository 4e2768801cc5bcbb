package otlp

import (
	"context"
	"errors"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/otlp"
)

// Engine is a connection to a receiver of OTLP that logs, metrics and traces share.
// It is safe for concurrent use.
type Engine struct{ conn *otlp.Conn }

// Open describes the receiver at addr, a "host:port" or a URL; the package comment
// has the forms. It connects to nothing: Ping does, and New of the packages. The
// error is engine.ErrInvalid.
func Open(addr string, opts ...Option) (*Engine, error) {
	base := func(o *otlp.Options) error { o.Base = true; return nil }
	c, err := otlp.NewConn(addr, append([]Option{base}, opts...))
	if err != nil {
		return nil, fault.Wrap("engine/otlp", "open", "", err)
	}
	return &Engine{c}, nil
}

// Ping sends a request of nothing, of the first signal that the receiver has. The
// error is engine.ErrUnavailable if there is no answer.
func (e *Engine) Ping(ctx context.Context) (err error) {
	for _, s := range []otlp.Signal{otlp.Traces(), otlp.Metrics(), otlp.Logs()} {
		err = e.conn.Client(s).Ping(ctx)
		if !errors.Is(err, fault.NotFound) {
			break
		}
	}
	return fault.Wrap("engine/otlp", "ping", "", err)
}

// Close closes the connections, but not those of a client that was given. Close
// what stands on the engine before. It may be called again.
func (e *Engine) Close() error { return fault.Wrap("engine/otlp", "close", "", e.conn.Close()) }

// Conn is how the backends of this module reach the connection.
func (e *Engine) Conn() (*otlp.Conn, error) {
	if e == nil {
		return nil, fault.Markf(fault.Invalid, "nil engine")
	}
	return e.conn.Shared(), nil
}
