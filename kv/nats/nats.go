package nats

import (
	"context"
	"errors"
	"regexp"
	"sync"
	"time"

	engine "github.com/micro/go-platform/engine/nats"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/nats"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Option configures Backend and On.
type Option func(*config) error

type config struct {
	bucket   string
	replicas int
}

// Backend keeps the items in the NATS server at addr, over an engine of its own:
// "nats://user:password@a,b,c" and the other forms that engine/nats takes.
func Backend(addr string, opts ...Option) kv.Option {
	return open(func() (*nats.Conn, error) { return nats.Open(nats.Config{Address: addr}) }, opts)
}

// On keeps the items in the NATS server that the engine is connected to, and
// leaves it open.
func On(e *engine.Engine, opts ...Option) kv.Option { return open(e.Conn, opts) }

var bucketName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,200}$`)

// WithBucket names the bucket. The default is "kv".
func WithBucket(name string) Option {
	return func(c *config) error {
		if !bucketName.MatchString(name) {
			return fault.Markf(kv.ErrInvalid, "bucket %q, want letters, digits, - and _, 200 at most", name)
		}
		c.bucket = name
		return nil
	}
}

// WithReplicas is how many servers of a cluster keep the bucket, 1, 3 or 5, if it
// is created. The default is 1.
func WithReplicas(n int) Option {
	return func(c *config) error { return nats.SetReplicas(&c.replicas, n) }
}

func open(connect func() (*nats.Conn, error), opts []Option) kv.Option {
	return kv.WithDriver("nats", func(context.Context) (kv.Driver, error) {
		c, err := conn.Apply(config{bucket: "kv", replicas: 1}, opts)
		if err != nil {
			return nil, err
		}
		nc, js, err := nats.JetStream(connect)
		if err != nil {
			return nil, err
		}
		return &driver{nc: nc, js: js, bucket: c.bucket, stream: "KV_" + c.bucket, replicas: c.replicas, subject: "$KV." + c.bucket + ".", opening: make(chan struct{}, 1)}, nil
	})
}

// driver is one bucket.
type driver struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	bucket   string
	stream   string // its name
	subject  string // before the name of a key
	replicas int

	opening chan struct{} // has a token while one call opens the stream
	mu      sync.Mutex
	opened  jetstream.Stream // nil: not yet
}

// maxValue leaves room for headers in the server's default max_payload.
const maxValue = 1<<20 - 1<<10

func (d *driver) Features() kv.Features {
	return kv.Features{List: true, Watch: true, Versions: true, Durable: true, Shared: true, ExpiryStep: time.Millisecond, MaxValue: maxValue}
}

func (d *driver) Ping(ctx context.Context) error { return d.nc.Ping(ctx) }

func (d *driver) Close() error { return d.nc.Close() }

// open returns the bucket's stream, creating it if it is not there.
func (d *driver) open(ctx context.Context) (jetstream.Stream, error) {
	if s := d.current(); s != nil {
		return s, nil
	}
	select {
	case d.opening <- struct{}{}:
		defer func() { <-d.opening }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s := d.current(); s != nil { // another call was faster
		return s, nil
	}
	asked, done := d.whileConnected(ctx)
	defer done()
	s, err := d.find(asked)
	if err != nil {
		return nil, readError(ended(ctx, asked, err))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened = s
	return s, nil
}

func (d *driver) current() jetstream.Stream {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.opened
}

// find looks for the stream, or creates it.
func (d *driver) find(ctx context.Context) (jetstream.Stream, error) {
	s, err := d.js.Stream(ctx, d.stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = d.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: d.bucket, Replicas: d.replicas, LimitMarkerTTL: tombstone})
		if err == nil || errors.Is(err, jetstream.ErrBucketExists) {
			s, err = d.js.Stream(ctx, d.stream)
		}
		if err == nil {
			err = nats.Reach(ctx, d.js, s, d.subject+"reach")
		}
	}
	return s, err
}

// whileConnected returns a context that ends with the connection. What was asked over it
// is never answered then, and the client does not say so.
func (d *driver) whileConnected(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	status := d.nc.StatusChanged(gonats.DISCONNECTED, gonats.RECONNECTING, gonats.CLOSED)
	go func() {
		select {
		case <-status:
			cancel(fault.Markf(kv.ErrUnavailable, "the connection was lost"))
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		d.nc.RemoveStatusListener(status)
	}
}

// ended returns why a context of whileConnected has ended, for an error that only says
// that it has. The caller's goes on.
func ended(ctx, connected context.Context, err error) error {
	if err != nil && ctx.Err() == nil && connected.Err() != nil {
		return context.Cause(connected)
	}
	return err
}

// lost forgets the stream if err says that it is gone, so that the next call
// creates it again.
func (d *driver) lost(err error) {
	if !errors.Is(err, jetstream.ErrStreamNotFound) && !errors.Is(err, jetstream.ErrNoStreamResponse) && !errors.Is(err, gonats.ErrNoResponders) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened = nil
}

// readError and writeError give an error its kind. An answer that means nothing
// to this package says that nothing was done.
func readError(err error) error { return refused(nats.ReadError(err)) }

func writeError(err error) error { return refused(nats.WriteError(err)) }

func refused(err error) error {
	if err == nil || fault.KindOf(err) != nil {
		return err
	}
	return fault.Mark(kv.ErrUnavailable, err)
}
