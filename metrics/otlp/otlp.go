package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	engine "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/otlp"
	"github.com/micro/go-platform/internal/outlet"
	"github.com/micro/go-platform/metrics"
)

// Backend pushes to the server at addr, "host:port" or a URL, over a connection of
// its own. The options are those of engine/otlp.
func Backend(addr string, opts ...engine.Option) metrics.Option {
	return open(func() (*otlp.Conn, error) { return otlp.NewConn(addr, opts) })
}

// On pushes over the connection of the engine, and leaves it open.
func On(e *engine.Engine) metrics.Option { return open(e.Conn) }

func open(connect func() (*otlp.Conn, error)) metrics.Option {
	return metrics.WithDriver("otlp", func(context.Context) (metrics.Driver, error) {
		conn, err := connect()
		if err != nil {
			return nil, err
		}
		return &driver{Client: conn.Client(otlp.Metrics()), began: map[uint64]point{}}, nil
	})
}

// resourceOf returns the encoded resource: what metrics.WithResource said, and
// over it what the options of this backend say.
func (d *driver) resourceOf(said []metrics.Label) []byte {
	var attrs []slog.Attr
	for _, l := range said {
		if l.Key != "service.name" || d.Service == "" {
			attrs = append(attrs, slog.String(l.Key, l.Value))
		}
	}
	return otlp.Resource(d.Service, "", append(attrs, d.Resource...))
}

type driver struct {
	*otlp.Client
	resource []byte
	retry    backoff.Policy

	sent  time.Time        // of the last snapshot that arrived in whole
	began map[uint64]point // by series: what the server has; with WithDelta alone
}

// scopeName says which library made the points.
const scopeName = "github.com/micro/go-platform/metrics"

// overhead is more than a request has beside its resource and its items.
const overhead = 128

// Export sends a snapshot in as many requests as it needs.
func (d *driver) Export(ctx context.Context, s *metrics.Snapshot) (metrics.Sent, error) {
	var sent metrics.Sent
	var errs []error
	if d.resource == nil { // it is the same for all snapshots
		d.resource = d.resourceOf(s.Resource)
	}
	p := page{driver: d, room: d.Max - len(d.resource) - overhead, time: s.Time, since: d.sent}
	p.reset()
	flush := func() {
		if p.points == 0 {
			return
		}
		request := otlp.Request(d.resource, otlp.Scope{Name: scopeName, Items: p.items})
		refused, err := d.send(ctx, request)
		if err != nil {
			sent.Dropped++
			errs = append(errs, err)
		} else {
			sent.Packets++
			sent.Bytes += uint64(len(request))
			maps.Copy(d.began, p.state)
		}
		if refused.Items > 0 {
			sent.Dropped += uint64(refused.Items)
			errs = append(errs, fault.Markf(fault.Invalid, "%d points refused: %s", refused.Items, refused.Reason))
		}
		p.reset()
	}
	for i := range s.Families {
		f := &s.Families[i]
		for next := 0; next < len(f.Series); {
			n := p.add(f, f.Series[next:])
			next += n
			switch {
			case n > 0:
			case p.points > 0:
				flush()
			default:
				sent.Dropped++
				errs = append(errs, fault.Markf(fault.TooLarge, "a series of %s over the %d bytes of a request", f.Name, d.Max))
				next++
			}
		}
	}
	flush()
	if len(errs) == 0 {
		d.sent = s.Time
	}
	d.forget(s)
	return sent, errors.Join(errs...)
}

// forget drops what is kept of series that are no longer there. Of totals nothing is.
func (d *driver) forget(s *metrics.Snapshot) {
	n := 0
	for i := range s.Families {
		n += len(s.Families[i].Series)
	}
	if len(d.began) <= 2*n+64 {
		return
	}
	there := make(map[uint64]bool, n)
	for i := range s.Families {
		for j := range s.Families[i].Series {
			there[s.Families[i].Series[j].ID] = true
		}
	}
	maps.DeleteFunc(d.began, func(id uint64, _ point) bool { return !there[id] })
}

// unanswered is how often a request is sent to a server that does not answer:
// the next export, which is soon, has it all again.
const unanswered = 3

// send sends one request until the server takes or refuses it or ctx ends.
func (d *driver) send(ctx context.Context, request []byte) (otlp.Refused, error) {
	for failures := 0; ; failures++ {
		refused, err := d.Send(ctx, request)
		if err == nil || !errors.Is(err, fault.Unavailable) || ctx.Err() != nil {
			return refused, err
		}
		if _, answered := errors.AsType[*otlp.Again](err); !answered && failures+1 >= unanswered {
			return refused, err
		}
		pause := max(d.retry.Wait(failures), outlet.RetryAfter(err))
		if end, ok := ctx.Deadline(); ok && time.Until(end) < pause {
			return refused, fmt.Errorf("%w (no time to try again)", err)
		}
		if backoff.Sleep(ctx, pause) != nil {
			return refused, err
		}
	}
}
