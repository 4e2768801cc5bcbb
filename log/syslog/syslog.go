package syslog

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"strconv"
	"unicode/utf8"

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
	facility int
	host     string
	app      string
	max      int
}

// WithTLS connects with TLS, also to an address without a scheme. With an
// address that says udp, tcp or unixgram it is an error.
func WithTLS(c *tls.Config) Option {
	return func(o *options) error { return conn.SetTLS(&o.tls, c) }
}

// WithFacility sets the facility by its number, 0 to 23. The default is 1, user.
func WithFacility(n int) Option {
	return func(o *options) error {
		if n < 0 || n > 23 {
			return fault.Markf(fault.Invalid, "facility %d, want 0 to 23", n)
		}
		o.facility = n
		return nil
	}
}

// WithHost sets the host's name; the default is this machine's.
func WithHost(name string) Option {
	return func(o *options) error { o.host = name; return nil }
}

// WithApp sets the application's name; the default is the program's.
func WithApp(name string) Option {
	return func(o *options) error { o.app = name; return nil }
}

// WithMaxDatagram bounds a message in a datagram. The default is 8192; RFC 5426
// promises no more than 480.
func WithMaxDatagram(n int) Option {
	return func(o *options) error {
		if n < 480 || n > 65507 {
			return fault.Markf(fault.Invalid, "WithMaxDatagram(%d), want 480 to 65507", n)
		}
		o.max = n
		return nil
	}
}

// Backend writes to the server at addr.
func Backend(addr string, opts ...Option) log.Option {
	return log.WithDriver("syslog", func(context.Context) (log.Driver, error) {
		o := options{facility: 1, app: filepath.Base(os.Args[0]), max: 8192}
		o.host, _ = os.Hostname()
		if err := fronts.Apply(&o, opts); err != nil {
			return nil, err
		}
		d := &driver{max: o.max, enc: newEncoding(&o)}
		err := d.conn.To(addr, "unixgram", o.tls, conn.Scheme{Name: "udp", Port: 514}, conn.Scheme{Name: "tcp", Port: 514}, conn.Scheme{Name: "tls", Port: 6514})
		if err != nil {
			return nil, err
		}
		return d, nil
	})
}

type driver struct {
	enc    *encoding
	conn   wire.Conn
	max    int
	frames []byte
	ends   []int
}

func (d *driver) Encoding() log.Encoding         { return d.enc }
func (d *driver) Ping(ctx context.Context) error { return d.conn.Ping(ctx) }
func (d *driver) Close() error                   { return d.conn.Close() }

func (d *driver) Write(ctx context.Context, b log.Batch) (int, error) {
	if d.conn.Network != "tcp" { // a record is a datagram
		for i, r := range b.Records() {
			if _, err := d.conn.Write(ctx, cut(r, d.max)); err != nil {
				return i, err
			}
		}
		return b.Len(), nil
	}
	d.frames, d.ends = d.frames[:0], d.ends[:0]
	for _, r := range b.Records() {
		d.frames = append(strconv.AppendInt(d.frames, int64(len(r)), 10), ' ')
		d.frames = append(d.frames, r...)
		d.ends = append(d.ends, len(d.frames))
	}
	n, err := d.conn.Write(ctx, d.frames)
	return log.Batch{Data: d.frames, Ends: d.ends}.Within(n), err
}

// cut shortens a message without splitting a character.
func cut(b []byte, n int) []byte {
	if len(b) <= n {
		return b
	}
	for n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return b[:n]
}
