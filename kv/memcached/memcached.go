package memcached

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/micro/go-platform/internal/batch"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/memcached"
	"github.com/micro/go-platform/internal/conn/stream"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
)

// Option configures the backend.
type Option func(*config) error

type config struct {
	memcached.Config
	client *memcache.Client
	alone  bool
}

// Backend stores in the memcached at addr: "host:port", several as
// "a:11211,b:11211", or a URL with the scheme memcached or memcacheds (TLS).
func Backend(addr string, opts ...Option) kv.Option {
	return open(config{Config: memcached.Config{Address: addr}}, opts)
}

// WithClient stores through a client that the caller already has, and closes
// itself. Its own selector says which server has a key, and its Timeout bounds
// a call; writes do not share round trips.
func WithClient(client *memcache.Client, opts ...Option) kv.Option {
	return open(config{client: client}, opts)
}

// WithTLS encrypts, whatever the address says.
func WithTLS(t *tls.Config) Option {
	return func(c *config) error { return conn.SetTLS(&c.TLS, t) }
}

// WithTimeouts bounds making a connection and one round trip. The defaults are
// 2 s and 3 s; 0 keeps the default.
func WithTimeouts(dial, answer time.Duration) Option {
	return func(c *config) error {
		if dial < 0 || answer < 0 {
			return fault.Markf(kv.ErrInvalid, "timeouts %v and %v", dial, answer)
		}
		c.DialTimeout, c.Timeout = dial, answer
		return nil
	}
}

// WithoutSharing gives every call a round trip of its own. By default calls
// made at the same time share round trips.
func WithoutSharing() Option {
	return func(c *config) error { c.alone = true; return nil }
}

func open(c config, opts []Option) kv.Option {
	return kv.WithDriver("memcached", func(context.Context) (kv.Driver, error) {
		c := c // one option may open several stores, also at once
		c, err := conn.Apply(c, opts)
		if err != nil {
			return nil, err
		}
		d := &driver{alone: c.alone}
		d.life, d.end = context.WithCancel(context.Background())
		if c.client != nil {
			d.given = c.client
			d.lines = []*line{d.newLine(given{c.client})}
			d.pick = func(string) *line { return d.lines[0] }
			return d, nil
		}
		client, err := memcached.Open(c.Config)
		if err != nil {
			return nil, err
		}
		d.client = client
		byServer := map[*memcached.Server]*line{}
		for _, s := range client.Servers {
			l := d.newLine(s)
			d.lines, byServer[s] = append(d.lines, l), l
		}
		d.pick = func(key string) *line { return byServer[client.Pick(key)] }
		return d, nil
	})
}

// server makes round trips: a *memcached.Server, or a client that was given.
type server interface {
	Do(ctx context.Context, ops []*memcached.Op)
	MaxItem() int // 0: not known
}

// line is a server and the calls on their way to it.
type line struct {
	server
	group batch.Group[memcached.Op]
}

func (d *driver) newLine(s server) *line {
	l := &line{server: s}
	l.group.Max, l.group.Context = 128, d.life
	l.group.MaxBytes, l.group.Size = 128<<10, size
	l.group.Run = s.Do
	_, l.group.Slow = s.(given)
	return l
}

// large is how many bytes a request has that travels alone, so that nobody
// else's small call waits for it.
const large = 16 << 10

func size(op *memcached.Op) int { return len(op.Key) + len(op.Value) }

// driver implements kv.Driver.
type driver struct {
	client *memcached.Client // nil with given
	given  *memcache.Client
	lines  []*line
	pick   func(wireKey string) *line
	alone  bool
	life   context.Context
	end    context.CancelFunc
}

func (d *driver) Ping(ctx context.Context) error {
	if d.client != nil {
		return d.client.Ping(ctx)
	}
	answer := make(chan error, 1)
	go func() { answer <- d.given.Ping() }()
	select {
	case err := <-answer:
		return fault.Mark(kv.ErrUnavailable, err)
	case <-ctx.Done():
		return fault.Mark(kv.ErrUnavailable, ctx.Err())
	}
}

// maxValue leaves room for the envelope, the key in it, the key on the wire and
// what memcached adds, in an item of 1 MiB.
const maxValue = 1<<20 - 2<<10

func (d *driver) Features() kv.Features {
	return kv.Features{
		Batch: true, Shared: true, Versions: true, Evicts: true,
		Linearizable: len(d.lines) == 1, ExpiryStep: time.Millisecond, Deadlines: d.given == nil, MaxValue: maxValue,
	}
}

func (d *driver) Close() error {
	d.end() // of round trips that were left by their callers
	if d.client != nil {
		d.client.Close()
	}
	for _, l := range d.lines {
		l.group.Wait()
	}
	return nil
}

// do makes one request and returns when it is answered or ctx ends.
func (d *driver) do(ctx context.Context, op *memcached.Op) error {
	l := d.pick(op.Key)
	if n := l.MaxItem(); n > 0 && len(op.Key)+len(op.Value)+itemHead > n {
		return fault.Markf(kv.ErrTooLarge, "value of %d bytes with its envelope, the server takes items of %d", len(op.Value), n)
	}
	if d.alone || size(op) >= large {
		if d.given == nil {
			l.Do(ctx, []*memcached.Op{op})
			return d.result(ctx, op)
		}
		done := make(chan struct{})
		go func() { defer close(done); l.Do(ctx, []*memcached.Op{op}) }()
		select {
		case <-done:
			return d.result(ctx, op)
		case <-ctx.Done():
			return d.ended(op.Verb, ctx.Err())
		}
	}
	certainlyNot, err := l.group.Do(ctx, op)
	switch {
	case certainlyNot:
		return err
	case err != nil:
		return d.ended(op.Verb, err)
	}
	return d.result(ctx, op)
}

// itemHead is what memcached needs for an item besides key and value.
const itemHead = 64

// result gives op's error its kind.
func (d *driver) result(ctx context.Context, op *memcached.Op) error {
	switch {
	case op.Err == nil:
		return nil
	case !errors.Is(op.Err, memcached.ErrLost):
		return op.Err
	case stream.Ended(ctx) != nil:
		return d.ended(op.Verb, stream.Ended(ctx))
	case op.Verb == memcached.Get:
		return fault.Mark(kv.ErrUnavailable, op.Err)
	}
	return fault.Mark(kv.ErrUnknownOutcome, op.Err)
}

// ended is the error of a call whose context ended on its way.
func (d *driver) ended(verb memcached.Verb, err error) error {
	if verb == memcached.Get {
		return err
	}
	return fault.Mark(kv.ErrUnknownOutcome, err)
}

// found is an item as it is stored now.
type found struct {
	item kv.Item
	cas  uint64
	dead bool // its life is over, though memcached still has it
}

// look reads what is stored at key, nil if nothing is.
func (d *driver) look(ctx context.Context, key string) (*found, error) {
	for try := 0; ; try++ {
		op := &memcached.Op{Verb: memcached.Get, Key: wireKey(key)}
		err := d.do(ctx, op)
		if err == nil {
			return unseal(key, op), nil
		}
		// A connection that had died unnoticed says nothing about the server.
		if try > 0 || ctx.Err() != nil || !errors.Is(err, memcached.ErrLost) || isTimeout(err) {
			return nil, err
		}
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

func (d *driver) Get(ctx context.Context, key string) (kv.Item, error) {
	f, err := d.look(ctx, key)
	switch {
	case err != nil:
		return kv.Item{}, err
	case f == nil || f.dead:
		return kv.Item{}, kv.ErrNotFound
	}
	return f.item, nil
}

func (d *driver) Put(ctx context.Context, w kv.Write) (kv.Revision, error) {
	rev := newRevision()
	op := seal(w, rev)
	switch {
	case w.IfRevision != 0:
		f, err := d.look(ctx, w.Key)
		if err != nil {
			return 0, notApplied(err)
		}
		if f == nil || f.dead || f.item.Revision != w.IfRevision {
			return 0, kv.ErrConflict
		}
		op.Verb, op.CAS = memcached.CompareAndSwap, f.cas
	case w.IfAbsent:
		op.Verb = memcached.Add
	}
	err := d.store(ctx, w.Key, op, rev)
	if err != nil || op.Done {
		return rev, err
	}
	if w.IfRevision != 0 {
		return 0, kv.ErrConflict
	}
	// Somebody is there; if it is only an item whose life is over, it may be
	// taken over.
	f, err := d.look(ctx, w.Key)
	if err != nil {
		return 0, notApplied(err)
	}
	if f == nil {
		return d.Put(ctx, w) // it has just gone
	}
	if !f.dead {
		return 0, kv.ErrExists
	}
	op = seal(w, rev)
	op.Verb, op.CAS = memcached.CompareAndSwap, f.cas
	if err := d.store(ctx, w.Key, op, rev); err != nil {
		return 0, err
	}
	if !op.Done {
		return 0, kv.ErrExists
	}
	return rev, nil
}

// notApplied is the error of a read that a write had to begin with: nothing
// was written.
func notApplied(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fault.Mark(kv.ErrUnavailable, err)
}

// store makes a write. If its answer is lost, its item shows whether it was
// done.
func (d *driver) store(ctx context.Context, key string, op *memcached.Op, rev kv.Revision) error {
	err := d.do(ctx, op)
	if err == nil || !errors.Is(err, fault.UnknownOutcome) || ctx.Err() != nil {
		return err
	}
	if f, lookErr := d.look(ctx, key); lookErr == nil && f != nil && f.item.Revision == rev {
		op.Done = true
		return nil
	}
	return err
}

func (d *driver) Delete(ctx context.Context, key string, rev kv.Revision) error {
	if rev == 0 {
		return d.do(ctx, &memcached.Op{Verb: memcached.Delete, Key: wireKey(key)})
	}
	f, err := d.look(ctx, key)
	if err != nil {
		return notApplied(err)
	}
	if f == nil || f.dead || f.item.Revision != rev {
		return kv.ErrConflict
	}
	// There is no conditional delete, but a conditional write whose life is
	// over at once.
	op := seal(kv.Write{Key: key}, newRevision())
	op.Verb, op.CAS, op.Exptime = memcached.CompareAndSwap, f.cas, -1
	if err := d.do(ctx, op); err != nil {
		return err
	}
	if !op.Done {
		return kv.ErrConflict
	}
	return nil
}

func newRevision() kv.Revision {
	for {
		if r := rand.Uint64(); r != 0 {
			return kv.Revision(r)
		}
	}
}

// perTrip is how many requests of a batch share a round trip.
const perTrip = 256

// many sends ops to their servers, the servers in parallel, and returns when
// all are answered or ctx ends, with whether they are.
func (d *driver) many(ctx context.Context, ops []*memcached.Op) bool {
	byLine := map[*line][]*memcached.Op{}
	for _, op := range ops {
		l := d.pick(op.Key)
		if n := l.MaxItem(); n > 0 && len(op.Key)+len(op.Value)+itemHead > n {
			op.Err = fault.Markf(kv.ErrTooLarge, "value of %d bytes with its envelope, the server takes items of %d", len(op.Value), n)
			continue
		}
		byLine[l] = append(byLine[l], op)
	}
	var wg sync.WaitGroup
	for l, ops := range byLine {
		wg.Go(func() {
			for start := 0; start < len(ops); start += perTrip {
				l.Do(ctx, ops[start:min(start+perTrip, len(ops))])
			}
		})
	}
	if d.given == nil { // returns when ctx ends
		wg.Wait()
		return true
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

func (d *driver) GetMany(ctx context.Context, keys []string) (map[string]kv.Item, error) {
	ops := make([]*memcached.Op, len(keys))
	for i, key := range keys {
		ops[i] = &memcached.Op{Verb: memcached.Get, Key: wireKey(key)}
	}
	if !d.many(ctx, ops) {
		return nil, ctx.Err()
	}
	items := make(map[string]kv.Item, len(keys))
	var bad map[string]error
	for i, op := range ops {
		if err := d.result(ctx, op); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if bad == nil {
				bad = map[string]error{}
			}
			bad[keys[i]] = err
		} else if f := unseal(keys[i], op); f != nil && !f.dead {
			items[keys[i]] = f.item
		}
	}
	if bad != nil {
		return items, &kv.BatchError{Errors: bad}
	}
	return items, nil
}

func (d *driver) PutMany(ctx context.Context, writes []kv.Write) []error {
	ops := make([]*memcached.Op, len(writes))
	for i, w := range writes {
		ops[i] = seal(w, newRevision())
	}
	errs := make([]error, len(ops))
	all := d.many(ctx, ops)
	for i := range ops {
		if all {
			errs[i] = d.result(ctx, ops[i])
		} else {
			errs[i] = d.ended(memcached.Set, ctx.Err())
		}
	}
	return errs
}
