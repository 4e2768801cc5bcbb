package otlp

import (
	"context"
	"fmt"

	"github.com/micro/go-platform/internal/otlp"
	"github.com/micro/go-platform/trace"
)

// Backend reports to the server at addr: "host:port" or a URL.
func Backend(addr string, opts ...Option) trace.Option {
	return trace.WithDriver("otlp", func(context.Context) (trace.Driver, error) {
		c, err := otlp.New(addr, otlp.Traces(), opts)
		if err != nil {
			return nil, err
		}
		return &driver{Client: c}, nil
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
		resource := otlp.Resource(local.Service, local.Address, d.Resource)
		room := d.Max - len(resource) - overhead
		d.items = d.items[:0]
		n := 0
		for ; done+n < len(spans) && spans[done+n].Local == local; n++ {
			before := len(d.items)
			if d.items = appendSpan(d.items, &spans[done+n]); len(d.items) > room {
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
	return trace.WithRejected(err, l.n, l.why)
}
