package logstash

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"os"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/log/internal/wire"
)

// Option configures Backend.
type Option func(*options) error

type options struct {
	tls      *tls.Config
	host     string
	datagram int
}

// WithTLS connects with TLS, also to an address without a scheme. With an
// address that says udp or tcp it is an error.
func WithTLS(c *tls.Config) Option {
	return func(o *options) error { return conn.SetTLS(&o.tls, c) }
}

// WithHost sets the event's host; the default is the name of this machine.
func WithHost(name string) Option {
	return func(o *options) error { o.host = name; return nil }
}

// WithMaxDatagram bounds an event over UDP. The default is 65507, all that UDP
// can carry.
func WithMaxDatagram(bytes int) Option {
	return func(o *options) error {
		if bytes < 256 || bytes > maxUDP {
			return fault.Markf(fault.Invalid, "WithMaxDatagram(%d), want 256 to %d", bytes, maxUDP)
		}
		o.datagram = bytes
		return nil
	}
}

const maxUDP = 65507

// Backend writes to the input at addr.
func Backend(addr string, opts ...Option) log.Option {
	return log.WithDriver("logstash", func(context.Context) (log.Driver, error) {
		o := options{datagram: maxUDP}
		o.host, _ = os.Hostname()
		if err := fronts.Apply(&o, opts); err != nil {
			return nil, err
		}
		d := &driver{options: o}
		err := d.conn.To(addr, "", o.tls, conn.Scheme{Name: "tcp", Port: 5000}, conn.Scheme{Name: "tls", Port: 5000}, conn.Scheme{Name: "udp", Port: 5000})
		if err != nil {
			return nil, err
		}
		host, _ := json.Marshal(o.host)
		d.enc = log.JSONKeys("logstash "+o.host, log.Keys{Time: "@timestamp", Level: "level", Logger: "logger", Message: "message", Source: "source"}, 3,
			`"@version":"1","host":`+string(host))
		return d, nil
	})
}

type driver struct {
	options
	enc  log.Encoding
	conn wire.Conn
}

func (d *driver) Encoding() log.Encoding         { return d.enc }
func (d *driver) Ping(ctx context.Context) error { return d.conn.Ping(ctx) }
func (d *driver) Close() error                   { return d.conn.Close() }

func (d *driver) Write(ctx context.Context, b log.Batch) (int, error) {
	if d.conn.Network != "udp" {
		n, err := d.conn.Write(ctx, b.Data)
		return b.Within(n), err
	}
	for i, r := range b.Records() {
		if len(r) > d.datagram {
			return i, fault.Markf(fault.TooLarge, "a record of %d bytes in a datagram of %d", len(r), d.datagram)
		}
		if _, err := d.conn.Write(ctx, r); err != nil {
			return i, err
		}
	}
	return b.Len(), nil
}
