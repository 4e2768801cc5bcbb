package nats

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	engine "github.com/micro/go-platform/engine/nats"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/nats"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/mutex"
	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Option configures Backend and On.
type Option func(*config) error

type config struct {
	replicas    int
	remembered  uint64 // see finder
	learnAtOnce int
	claimLasts  time.Duration // see plan
}

// Backend keeps the stream in the NATS server at addr, over an engine of its own:
// "nats://user:password@a,b,c" and the other forms that engine/nats takes.
func Backend(addr string, opts ...Option) event.Option {
	return open(func() (*nats.Conn, error) { return nats.Open(nats.Config{Address: addr}) }, opts)
}

// On keeps the stream in the NATS server that the engine is connected to, and
// leaves it open.
func On(e *engine.Engine, opts ...Option) event.Option { return open(e.Conn, opts) }

// WithReplicas is how many servers of a cluster keep the stream, 1, 3 or 5, if it
// is made. The default is 1.
func WithReplicas(n int) Option {
	return func(c *config) error { return nats.SetReplicas(&c.replicas, n) }
}

func open(connect func() (*nats.Conn, error), opts []Option) event.Option {
	return event.WithDriver("nats", func(_ context.Context, s event.Settings) (event.Driver, error) {
		c, err := conn.Apply(config{replicas: 1, remembered: remembered, learnAtOnce: learnAtOnce, claimLasts: claimLasts}, opts)
		if err != nil {
			return nil, err
		}
		nc, js, err := nats.JetStream(connect)
		if err != nil {
			return nil, err
		}
		return newDriver(nc, js, c, s.Namespace), nil
	})
}

func newDriver(nc *nats.Conn, js jetstream.JetStream, c config, namespace string) *driver {
	d := &driver{nc: nc, js: js, replicas: c.replicas, store: store{name: "events", subject: "events._."}, finder: newFinder(c)}
	if namespace != "" {
		d.name, d.subject = "events-"+escape(namespace), "events."+escape(namespace)+"."
	}
	d.plan.name, d.plan.subject = "later-"+d.name, "later-"+d.subject
	d.plan.claimLasts = c.claimLasts
	return d
}

// escape writes what names of streams, buckets, consumers and keys can't have as
// '_' and hex digits.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "_%02X", c)
		}
	}
	return b.String()
}

// store is a JetStream stream of the driver's.
type store struct {
	name    string
	subject string           // before the type, or the key
	s       jetstream.Stream // nil: not looked for yet, or lost; the driver's mu is held for it
}

// driver is one JetStream stream, and beside it what its groups and its schedule are in.
type driver struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	replicas int
	store    // of the records

	opening mutex.Mutex        // of who looks for a stream or the bucket
	kv      jetstream.KeyValue // of the groups; of opening

	mu      sync.Mutex
	cursors []*cursor // of readers that may come back, the newest last

	plan   plan // what is published later
	finder *finder
}

func (d *driver) Features() event.Features {
	return event.Features{Durable: true, Shared: true, Exclusive: true, Positions: true}
}

func (d *driver) Ping(ctx context.Context) error { return d.nc.Ping(ctx) }

func (d *driver) Close(ctx context.Context) error {
	d.mu.Lock()
	cursors := d.cursors
	d.cursors = nil
	d.mu.Unlock()
	for _, c := range cursors {
		c.close(ctx)
	}
	return d.nc.Close()
}

// stream returns the stream, making it if it isn't there.
func (d *driver) stream(ctx context.Context) (jetstream.Stream, error) {
	return d.look(ctx, &d.store, true)
}

// look returns a stream of the driver's. If it isn't there, look creates it or returns nil.
func (d *driver) look(ctx context.Context, at *store, create bool) (jetstream.Stream, error) {
	if s := d.has(at); s != nil {
		return s, nil
	}
	err := d.opening.Lock(ctx)
	if err != nil {
		return nil, err
	}
	defer d.opening.Unlock()
	if s := d.has(at); s != nil { // another was faster
		return s, nil
	}
	s, err := d.js.Stream(ctx, at.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if !create {
			return nil, nil
		}
		s, err = d.create(ctx, jetstream.StreamConfig{Name: at.name, Subjects: []string{at.subject + ">"}, Storage: jetstream.FileStorage, Replicas: d.replicas})
	}
	if err == nil {
		err = nats.Reach(ctx, d.js, s, at.subject+"reach")
	}
	if err != nil {
		return nil, nats.ReadError(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	at.s = s
	return s, nil
}

func (d *driver) has(at *store) jetstream.Stream {
	d.mu.Lock()
	defer d.mu.Unlock()
	return at.s
}

// create makes a stream, or returns the one that another was faster to make.
func (d *driver) create(ctx context.Context, c jetstream.StreamConfig) (jetstream.Stream, error) {
	s, err := d.js.CreateStream(ctx, c)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return d.js.Stream(ctx, c.Name)
	}
	return s, err
}

// lost has the next call look for the stream again, if an error says that it isn't there.
func (d *driver) lost(err error) error { return d.lose(&d.store, err) }

func (d *driver) lose(at *store, err error) error {
	if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, gonats.ErrNoResponders) {
		d.mu.Lock()
		at.s = nil
		d.mu.Unlock()
	}
	return err
}

// groups returns the bucket that tells about the groups.
func (d *driver) groups(ctx context.Context) (jetstream.KeyValue, error) {
	err := d.opening.Lock(ctx)
	if err != nil {
		return nil, err
	}
	defer d.opening.Unlock()
	if d.kv != nil {
		return d.kv, nil
	}
	kv, err := d.js.KeyValue(ctx, d.name+"-groups")
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		// As CreateKeyValue makes it, but read by its leader alone: another server may not
		// have yet what was written before.
		_, err = d.create(ctx, jetstream.StreamConfig{
			Name: "KV_" + d.name + "-groups", Subjects: []string{"$KV." + d.name + "-groups.>"}, Replicas: d.replicas, Storage: jetstream.FileStorage,
			MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, AllowRollup: true, DenyDelete: true, Duplicates: 2 * time.Minute,
			MaxBytes: -1, MaxMsgSize: -1, MaxMsgs: -1, MaxConsumers: -1,
		})
		if err == nil {
			kv, err = d.js.KeyValue(ctx, d.name+"-groups")
		}
	}
	if err == nil {
		err = d.reachBucket(ctx)
	}
	if err != nil {
		return nil, nats.ReadError(err)
	}
	d.kv = kv
	return kv, nil
}

// reachBucket waits until what is written to the bucket of the groups gets there.
func (d *driver) reachBucket(ctx context.Context) error {
	s, err := d.js.Stream(ctx, "KV_"+d.name+"-groups")
	if err != nil {
		return err
	}
	return nats.Reach(ctx, d.js, s, "$KV."+d.name+"-groups.reach")
}

func (d *driver) Append(ctx context.Context, records []*event.Record) (int, error) {
	s, err := d.stream(ctx)
	if err != nil {
		return 0, err
	}
	if !d.nc.IsConnected() {
		return 0, fault.Markf(fault.Unavailable, "not connected")
	}
	messages := make([]*gonats.Msg, len(records))
	for i, r := range records { // all before the first is sent
		messages[i], err = d.message(s, r)
		if err != nil {
			return 0, err
		}
	}
	futures := make([]jetstream.PubAckFuture, 0, len(records))
	for _, m := range messages {
		f, err := d.js.PublishMsgAsync(m, jetstream.WithRetryAttempts(0))
		if err != nil {
			n, err2 := await(ctx, futures)
			if err2 != nil {
				err = err2
			}
			return n, nats.WriteError(d.lost(err))
		}
		futures = append(futures, f)
	}
	n, err := await(ctx, futures)
	return n, nats.WriteError(d.lost(err))
}

// await returns how many of the first are stored.
func await(ctx context.Context, futures []jetstream.PubAckFuture) (int, error) {
	for i, f := range futures {
		select {
		case <-f.Ok():
		case err := <-f.Err():
			return i, err
		case <-ctx.Done():
			return i, ctx.Err()
		}
	}
	return len(futures), nil
}
