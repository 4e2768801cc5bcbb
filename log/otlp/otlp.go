package otlp

import (
	"context"
	"encoding/binary"
	"errors"

	engine "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/otlp"
	"github.com/micro/go-platform/log"
)

// Backend sends to the server at addr, "host:port" or a URL, over a connection of
// its own. The options are those of engine/otlp.
func Backend(addr string, opts ...engine.Option) log.Option {
	return open(func() (*otlp.Conn, error) { return otlp.NewConn(addr, opts) })
}

// On sends over the connection of the engine, and leaves it open.
func On(e *engine.Engine) log.Option { return open(e.Conn) }

func open(connect func() (*otlp.Conn, error)) log.Option {
	return log.WithDriver("otlp", func(context.Context) (log.Driver, error) {
		conn, err := connect()
		if err != nil {
			return nil, err
		}
		c := conn.Client(otlp.Logs())
		return &driver{Client: c, resource: otlp.Resource(c.Service, "", c.Resource)}, nil
	})
}

type driver struct {
	*otlp.Client
	resource []byte
}

func (d *driver) Encoding() log.Encoding { return encoding{} }

// overhead is more than a request has beside its resource and its scopes.
const overhead = 64

// Write sends a batch in as many requests as it needs.
func (d *driver) Write(ctx context.Context, b log.Batch) (int, error) {
	for done := 0; done < b.Len(); {
		scopes, n := d.fill(b, done)
		if n == 0 {
			return done, fault.Markf(fault.TooLarge, "a record of %d bytes in a request of %d", len(b.Record(done)), d.Max)
		}
		refused, err := d.Send(ctx, otlp.Request(d.resource, scopes...))
		switch {
		case err == nil && refused.Items > 0:
			refused.Items = min(refused.Items, n)
			return done + n, log.Refused(fault.Markf(fault.Invalid, "%d records refused: %s", refused.Items, refused.Reason), refused.Items)
		case err != nil && !errors.Is(err, fault.Unavailable): // the whole request, for good
			return done + n, log.Refused(err, n)
		case err != nil:
			return done, err
		}
		done += n
	}
	return b.Len(), nil
}

// fill returns records of b, from the given one on, by the names of their
// loggers, as many as fit into a request.
func (d *driver) fill(b log.Batch, from int) (scopes []otlp.Scope, n int) {
	room := d.Max - len(d.resource) - overhead
	at := map[string]int{}
	for ; from+n < b.Len(); n++ {
		name, record := split(b.Record(from + n))
		i, ok := at[name]
		size := len(record)
		if !ok {
			size += len(name) + overhead
		}
		room -= size
		if room < 0 {
			break
		}
		if !ok {
			i = len(scopes)
			at[name] = i
			scopes = append(scopes, otlp.Scope{Name: name})
		}
		scopes[i].Items = append(scopes[i].Items, record...)
	}
	return scopes, n
}

// split takes a record of encoding apart.
func split(r []byte) (logger string, record []byte) {
	n, k := binary.Uvarint(r)
	return string(r[k : k+int(n)]), r[k+int(n):]
}
