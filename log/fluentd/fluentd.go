package fluentd

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"time"

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
	key      string
	user     string
	password string
	noAck    bool
}

// WithTLS connects with TLS, also to an address without a scheme. With an
// address that says tcp or unix it is an error.
func WithTLS(c *tls.Config) Option {
	return func(o *options) error { return conn.SetTLS(&o.tls, c) }
}

// WithSharedKey answers the server's handshake; without it the server must not
// ask for one.
func WithSharedKey(key string) Option {
	return func(o *options) error { return conn.SetSecret(&o.key, key) }
}

// WithUser adds a user and a password to the handshake.
func WithUser(name, password string) Option {
	return func(o *options) error { return conn.SetAuth(&o.user, &o.password, name, password) }
}

// WithoutAck does not ask the server to acknowledge.
func WithoutAck() Option {
	return func(o *options) error { o.noAck = true; return nil }
}

// Backend sends to the server at addr with the given tag.
func Backend(addr, tag string, opts ...Option) log.Option {
	return log.WithDriver("fluentd", func(context.Context) (log.Driver, error) {
		var o options
		if err := fronts.Apply(&o, opts); err != nil {
			return nil, err
		}
		if tag == "" {
			return nil, fault.Markf(fault.Invalid, "no tag")
		}
		d := &driver{options: o, tag: tag}
		err := d.conn.To(addr, "unix", o.tls, conn.Scheme{Name: "tcp", Port: 24224}, conn.Scheme{Name: "tls", Port: 24224})
		if err != nil {
			return nil, err
		}
		d.conn.Reads = !o.noAck
		if o.key != "" {
			d.conn.Greet = d.greet
		}
		return d, nil
	})
}

// encoding is one entry of a forward message: [time, record].
type encoding struct{}

func (encoding) Name() string { return "fluentd" }

func (encoding) Append(b []byte, r *log.Record) []byte {
	t := r.Time
	if t.IsZero() {
		t = time.Now()
	}
	b = appendTime(appendArray(b, 2), t)
	own := []slog.Attr{{Key: "level", Value: slog.StringValue(r.Level.String())}}
	if r.Level == log.LevelFatal {
		own[0].Value = slog.StringValue("FATAL")
	}
	if r.Logger != "" {
		own = append(own, slog.String("logger", r.Logger))
	}
	own = append(own, slog.String("message", r.Message))
	if r.Source != "" {
		own = append(own, slog.String("source", r.Source))
	}
	b = appendMap(b, len(own)+len(r.Attrs))
	b = appendAttrs(b, own)
	for _, a := range r.Attrs {
		switch a.Key {
		case "level", "logger", "message", "source":
			a.Key = "attr." + a.Key
		}
		b = appendValue(appendString(b, a.Key), a.Value)
	}
	return b
}

type driver struct {
	options
	tag  string
	conn wire.Conn

	chunk string // of the records that were sent last and not acknowledged
	count int    // how many they are
}

func (d *driver) Encoding() log.Encoding         { return encoding{} }
func (d *driver) Ping(ctx context.Context) error { return d.conn.Ping(ctx) }
func (d *driver) Close() error                   { return d.conn.Close() }

// maxChunk is how many bytes of records a message has, and one record more.
const maxChunk = 1 << 20

func (d *driver) Write(ctx context.Context, b log.Batch) (int, error) {
	for done := 0; done < b.Len(); {
		start := 0
		if done > 0 {
			start = b.Ends[done-1]
		}
		n := 1
		if d.chunk != "" && d.count <= b.Len()-done { // the same records again, under the same id
			n = d.count
		} else {
			for done+n < b.Len() && b.Ends[done+n]-start <= maxChunk {
				n++
			}
			d.chunk, d.count = newChunk(), n
		}
		if err := d.send(ctx, b.Data[start:b.Ends[done+n-1]], n); err != nil {
			return done, err
		}
		d.chunk = ""
		done += n
	}
	return b.Len(), nil
}

func newChunk() string {
	var id [16]byte
	_, _ = rand.Read(id[:])
	return base64.StdEncoding.EncodeToString(id[:])
}

// send sends one PackedForward message and waits for its acknowledgement.
func (d *driver) send(ctx context.Context, entries []byte, n int) error {
	m := make([]byte, 0, len(entries)+len(d.tag)+64)
	m = appendString(appendArray(m, 3), d.tag)
	m = appendBin(m, entries)
	options := 1
	if !d.noAck {
		options++
	}
	m = appendMap(m, options)
	m = appendInt(appendString(m, "size"), int64(n))
	if !d.noAck {
		m = appendString(appendString(m, "chunk"), d.chunk)
	}
	if _, err := d.conn.Write(ctx, m); err != nil {
		return err
	}
	if d.noAck {
		return nil
	}
	c, err := d.conn.Get(ctx)
	if err != nil {
		return err
	}
	answer, err := read(ctx, c)
	if err == nil {
		if got, _ := answer.(map[string]any); got["ack"] != d.chunk {
			err = fmt.Errorf("acknowledged %v, want chunk %s", answer, d.chunk)
		}
	}
	if err != nil {
		d.conn.Drop()
		return fault.Mark(fault.Unavailable, fmt.Errorf("no acknowledgement: %w", err))
	}
	return nil
}

// maxAnswer bounds one answer of the server.
const maxAnswer = 64 << 10

// read reads one value.
func read(ctx context.Context, c net.Conn) (any, error) {
	if t, ok := ctx.Deadline(); ok {
		_ = c.SetReadDeadline(t)
		defer c.SetReadDeadline(time.Time{})
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, 0, 256)
	for {
		if len(buf) == cap(buf) {
			if len(buf) >= maxAnswer {
				return nil, errFormat
			}
			buf = slices.Grow(buf, len(buf))
		}
		n, err := c.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if v, _, derr := decode(buf, 0); derr == nil {
			return v, nil
		} else if !errors.Is(derr, errShort) {
			return nil, derr
		}
		if err != nil {
			return nil, err
		}
	}
}

func hostname() string {
	h, err := os.Hostname()
	if err != nil || h == "" {
		return "localhost"
	}
	return h
}
