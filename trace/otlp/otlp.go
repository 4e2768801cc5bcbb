package otlp

import (
	"cmp"
	"context"
	"fmt"

	engine "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/internal/otlp"
	"github.com/micro/go-platform/trace"
	tracedriver "github.com/micro/go-platform/trace/driver"
)

// Backend reports to the server at addr, "host:port" or a URL, over a connection of
// its own. The options are those of engine/otlp.
func Backend(addr string, opts ...engine.Option) trace.Option {
	return open(func() (*otlp.Conn, error) { return otlp.NewConn(addr, opts) })
}

// On reports over the connection of the engine, and leaves it open.
func On(e *engine.Engine) trace.Option { return open(e.Conn) }

func open(connect func() (*otlp.Conn, error)) trace.Option {
	return trace.WithDriver("otlp", func(context.Context) (trace.Driver, error) {
		conn, err := connect()
		if err != nil {
			return nil, err
		}
		return &driver{Client: conn.Client(otlp.Traces())}, nil
	})
}

type driver struct {
	*otlp.Client
	items []byte // scratch
}

// overhead is more than a request has beside its resource and its items.
const overhead = 128

// Report sends spans of one process in as many requests as they need.
func (d *driver) Report(ctx context.Context, spans []trace.SpanData) (int, error) {
	var lost lost
	for done := 0; done < len(spans); {
		local := spans[done].Local
		resource := otlp.Resource(cmp.Or(local.Service, d.Service), local.Address, d.Resource)
		room := d.Max - len(resource) - overhead
		d.items = d.items[:0]
		n := 0
		for ; done+n < len(spans) && spans[done+n].Local == local; n++ {
			before := len(d.items)
			d.items = appendSpan(d.items, &spans[done+n])
			if len(d.items) > room {
				d.items = d.items[:before]
				break
			}
		}
		if n == 0 {
			lost.add(1, fmt.Sprintf("a span over the %d bytes of a request", d.Max))
			done++
			continue
		}
		refused, err := d.Send(ctx, otlp.Request(resource, otlp.Scope{Name: scopeName, Items: d.items}))
		if err != nil {
			return done, lost.with(err)
		}
		lost.add(min(refused.Items, n), refused.Reason)
		done += n
	}
	return len(spans), lost.with(nil)
}

// lost is what was refused for good in one Report.
type lost struct {
	n   int
	why string
}

func (l *lost) add(n int, why string) {
	l.n += n
	if why != "" {
		l.why = why
	}
}

func (l *lost) with(err error) error {
	if l.n == 0 {
		return err
	}
	return tracedriver.Rejected(err, l.n, l.why)
}
