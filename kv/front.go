package kv

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/decimal"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/life"
)

// front is what every store is the same in. Drivers stand behind it.
type front struct {
	options
	scope    string // "kv/redis"
	driver   Driver
	features Features
	life     *life.Life
	embedded *memory // the driver, if it is that one and nobody observes
}

func newFront(opts []Option) (KV, error) {
	o := defaults()
	for _, opt := range opts {
		err := error(invalidf("nil option"))
		if opt != nil {
			err = opt(&o)
		}
		if err != nil {
			return nil, fault.Wrap("kv", "new", "", err)
		}
	}
	if o.open == nil {
		if err := Memory()(&o); err != nil {
			return nil, fault.Wrap("kv", "new", "", err)
		}
	}
	f := &front{options: o, scope: "kv/" + o.backend, life: life.New()}
	ctx, cancel := context.WithTimeout(context.Background(), o.dialTimeout)
	defer cancel()
	d, err := o.open(ctx)
	if err != nil {
		return nil, fault.Opening(f.scope, err)
	}
	f.driver, f.features = d, d.Features()
	f.features.Backend = o.backend
	if m, ok := d.(*memory); ok && o.observe == nil {
		f.embedded = m
	}
	if !o.lazy && !f.features.Local {
		if err := d.Ping(ctx); err != nil {
			d.Close()
			return nil, fault.Unanswered(f.scope, err)
		}
		if a, ok := d.(adviceDriver); ok {
			if advice := a.Advice(ctx); advice != "" {
				f.logger.Info(advice, "backend", f.scope)
			}
		}
	}
	return f, nil
}

func (f *front) Features() Features { return f.features }

func (f *front) Close() error {
	return fault.Wrap(f.scope, "close", "", f.life.Close(f.driver.Close))
}

// bounds is what a remote call holds until it ends.
type bounds struct {
	f      *front
	cancel context.CancelFunc
	own    bool // the deadline is ours, not the caller's
}

// enter begins a call: it refuses ended contexts and closed stores and bounds
// what has no deadline. A local call holds nothing.
func (f *front) enter(ctx context.Context) (context.Context, bounds, error) {
	if err := ctx.Err(); err != nil {
		return ctx, bounds{}, err
	}
	if f.features.Local {
		if f.life.Closed() {
			return ctx, bounds{}, ErrClosed
		}
		return ctx, bounds{}, nil
	}
	if !f.life.Enter() {
		return ctx, bounds{}, ErrClosed
	}
	b := bounds{f: f}
	if _, ok := ctx.Deadline(); !ok && f.timeout > 0 {
		if b.own = true; f.features.Deadlines {
			ctx = &limited{ctx, time.Now().Add(f.timeout)}
		} else {
			ctx, b.cancel = context.WithTimeout(ctx, f.timeout)
		}
	}
	return ctx, b, nil
}

// limited is a context with a deadline that only Deadline tells of.
type limited struct {
	context.Context
	at time.Time
}

func (l *limited) Deadline() (time.Time, bool) { return l.at, true }

// leave ends a call. Our own deadline is no error of the caller's context: a
// backend that did not answer in time is unavailable.
func (b bounds) leave(err error) error {
	if b.f == nil {
		return err
	}
	if b.cancel != nil {
		b.cancel()
	}
	b.f.life.Leave()
	if b.own && err != nil && errors.Is(err, context.DeadlineExceeded) && !isKind(err, fault.UnknownOutcome, fault.Unavailable) {
		err = fault.Markf(ErrUnavailable, "no answer within %v: %w", b.f.timeout, err)
	}
	return err
}

// done wraps a call's error and tells the observer.
func (f *front) done(op, key string, keys int, start time.Time, err error) error {
	if err != nil {
		err = fault.Wrap(f.scope, op, fronts.Cut(key), err)
	}
	if f.observe != nil {
		f.observe(Call{Backend: f.scope, Op: op, Keys: keys, Duration: time.Since(start), Err: err})
	}
	return err
}

// now is the start of a call, read only if somebody wants to know.
func (f *front) now() (t time.Time) {
	if f.observe != nil {
		t = time.Now()
	}
	return t
}

func (f *front) check(key string) error {
	switch {
	case key == "":
		return invalidf("empty key")
	case len(f.namespace)+len(key) > MaxKey:
		return invalidf("key of %d bytes, want at most %d with its namespace", len(key), MaxKey)
	case !utf8.ValidString(key):
		return invalidf("key is not valid UTF-8")
	}
	return nil
}

func (f *front) Get(ctx context.Context, key string, opts ...GetOption) (Item, error) {
	if f.embedded != nil && len(opts) == 0 && key != "" && ctx.Err() == nil && !f.life.Closed() {
		// What is there passed the checks when it was put.
		full := key
		if f.namespace != "" {
			full = f.namespace + key
		}
		if s, life, ok := f.embedded.items.Get(full); ok {
			return s.item(key, life), nil
		}
	}
	start := f.now()
	item, err := f.get(ctx, key, opts)
	if err != nil || f.observe != nil {
		err = f.done("get", key, 1, start, err)
	}
	return item, err
}

func (f *front) get(ctx context.Context, key string, opts []GetOption) (Item, error) {
	if err := f.check(key); err != nil {
		return Item{}, err
	}
	var r read
	for _, opt := range opts {
		if opt == nil {
			return Item{}, invalidf("nil option")
		}
		if err := opt.get(&r); err != nil {
			return Item{}, err
		}
	}
	ctx, b, err := f.enter(ctx)
	if err != nil {
		return Item{}, err
	}
	var item Item
	if r.expiry {
		item, err = getExpiring(ctx, f.driver, f.namespace+key)
	} else {
		item, err = f.driver.Get(ctx, f.namespace+key)
	}
	if err = b.leave(err); err != nil {
		return Item{}, err
	}
	item.Key, item.Value = key, slices.Clip(item.Value) // shared: an append must make a copy
	return item, nil
}

// getExpiring returns an item with its expiry.
func getExpiring(ctx context.Context, d Driver, key string) (Item, error) {
	if e, ok := d.(expiryDriver); ok {
		return e.GetExpiring(ctx, key)
	}
	return d.Get(ctx, key)
}

func (f *front) Put(ctx context.Context, key string, value []byte, opts ...PutOption) (Revision, error) {
	start := f.now()
	rev, err := f.put(ctx, key, value, opts)
	if err != nil || f.observe != nil {
		err = f.done("put", key, 1, start, err)
	}
	return rev, err
}

func (f *front) put(ctx context.Context, key string, value []byte, opts []PutOption) (Revision, error) {
	w, err := f.write(key, value, opts)
	if err != nil {
		return 0, err
	}
	if w.conditional {
		if w.IfAbsent {
			return 0, invalidf("IfAbsent and IfRevision together")
		}
		w.IfAbsent = w.IfRevision == 0
	}
	ctx, b, err := f.enter(ctx)
	if err != nil {
		return 0, err
	}
	rev, err := f.driver.Put(ctx, w)
	if err = b.leave(err); err != nil {
		if w.conditional && w.IfAbsent && isKind(err, fault.Exists) {
			err = ErrConflict
		}
		return 0, err
	}
	return rev, nil
}

// write checks one write and its options.
func (f *front) write(key string, value []byte, opts []PutOption) (Write, error) {
	w := Write{Key: f.namespace + key, Value: value}
	if err := f.check(key); err != nil {
		return w, err
	}
	for _, opt := range opts {
		if opt == nil {
			return w, invalidf("nil option")
		}
		var err error
		if w, err = opt.put(w); err != nil { // by value: no allocation
			return w, err
		}
	}
	if limit := f.features.MaxValue; limit > 0 && len(value) > limit {
		return w, fault.Markf(ErrTooLarge, "value of %d bytes, the limit is %d", len(value), limit)
	}
	return w, nil
}

func (f *front) Delete(ctx context.Context, key string, opts ...DeleteOption) error {
	start := f.now()
	err := f.delete(ctx, key, opts)
	if err != nil || f.observe != nil {
		err = f.done("delete", key, 1, start, err)
	}
	return err
}

func (f *front) delete(ctx context.Context, key string, opts []DeleteOption) error {
	if err := f.check(key); err != nil {
		return err
	}
	var w Write
	for _, opt := range opts {
		if opt == nil {
			return invalidf("nil option")
		}
		var err error
		if w, err = opt.delete(w); err != nil {
			return err
		}
	}
	ctx, b, err := f.enter(ctx)
	if err != nil {
		return err
	}
	return b.leave(f.driver.Delete(ctx, f.namespace+key, w.IfRevision))
}

func (f *front) Add(ctx context.Context, key string, delta int64, opts ...PutOption) (int64, error) {
	start := f.now()
	sum, err := f.add(ctx, key, delta, opts)
	if err != nil || f.observe != nil {
		err = f.done("add", key, 1, start, err)
	}
	return sum, err
}

func (f *front) add(ctx context.Context, key string, delta int64, opts []PutOption) (int64, error) {
	w, err := f.write(key, nil, opts)
	if err != nil {
		return 0, err
	}
	if w.IfAbsent || w.conditional {
		return 0, invalidf("Add takes no option but TTL")
	}
	ctx, b, err := f.enter(ctx)
	if err != nil {
		return 0, err
	}
	var sum int64
	if c, ok := f.driver.(counterDriver); ok && f.features.Counter {
		sum, err = c.Add(ctx, w.Key, delta, w.TTL)
	} else {
		sum, err = f.addLoop(ctx, w, delta)
	}
	return sum, b.leave(err)
}

// addLoop is Add for a backend that cannot: read, and write if unchanged.
func (f *front) addLoop(ctx context.Context, w Write, delta int64) (int64, error) {
	wait := backoff.Policy{Min: time.Millisecond, Max: 50 * time.Millisecond}
	for tries := 0; ; tries++ {
		item, err := getExpiring(ctx, f.driver, w.Key)
		next := Write{Key: w.Key, TTL: w.TTL}
		var sum int64
		switch {
		case errors.Is(err, fault.NotFound):
			next.IfAbsent, sum = true, delta
		case err != nil:
			return 0, err
		default:
			if sum, err = addTo(item.Value, delta); err != nil {
				return 0, err
			}
			next.IfRevision, next.TTL = item.Revision, 0
			if !item.Expires.IsZero() {
				next.TTL = max(time.Until(item.Expires), time.Millisecond)
			}
		}
		next.Value = strconv.AppendInt(nil, sum, 10)
		if _, err = f.driver.Put(ctx, next); err == nil {
			return sum, nil
		}
		if !isKind(err, fault.Conflict, fault.Exists) {
			return 0, err
		}
		if err := backoff.Sleep(ctx, wait.Wait(tries)); err != nil {
			return 0, err
		}
	}
}

// addTo returns the sum of a stored number and delta.
func addTo(value []byte, delta int64) (int64, error) {
	sum, err := decimal.Add(value, delta)
	return sum, fault.Mark(ErrInvalid, err)
}

func (f *front) GetMany(ctx context.Context, keys ...string) (map[string]Item, error) {
	start := f.now()
	items, err := f.getMany(ctx, keys)
	return items, f.done("get many", "", len(keys), start, err)
}

func (f *front) getMany(ctx context.Context, keys []string) (map[string]Item, error) {
	full := make([]string, len(keys))
	for i, k := range keys {
		if err := f.check(k); err != nil {
			return nil, err
		}
		full[i] = f.namespace + k
	}
	ctx, b, err := f.enter(ctx)
	if err != nil {
		return nil, err
	}
	slices.Sort(full)
	full = slices.Compact(full)
	var items map[string]Item
	if d, ok := f.driver.(batchDriver); ok && f.features.Batch {
		items, err = d.GetMany(ctx, full)
	} else {
		items, err = f.getEach(ctx, full)
	}
	err = b.leave(f.strip(err, "get"))
	if f.namespace == "" || len(items) == 0 {
		return items, err
	}
	out := make(map[string]Item, len(items))
	for k, item := range items {
		item.Key, item.Value = k[len(f.namespace):], slices.Clip(item.Value)
		out[item.Key] = item
	}
	return out, err
}

func (f *front) PutMany(ctx context.Context, values map[string][]byte, opts ...PutOption) error {
	start := f.now()
	return f.done("put many", "", len(values), start, f.putMany(ctx, values, opts))
}

func (f *front) putMany(ctx context.Context, values map[string][]byte, opts []PutOption) error {
	writes := make([]Write, 0, len(values))
	bad := map[string]error{}
	for _, k := range slices.Sorted(maps.Keys(values)) {
		w, err := f.write(k, values[k], opts)
		switch {
		case w.IfAbsent || w.conditional:
			return invalidf("PutMany takes no option but TTL")
		case errors.Is(err, fault.TooLarge):
			bad[w.Key] = err
		case err != nil:
			return err
		default:
			writes = append(writes, w)
		}
	}
	ctx, b, err := f.enter(ctx)
	if err != nil {
		return err
	}
	var errs []error
	if d, ok := f.driver.(batchDriver); ok && f.features.Batch && len(writes) > 0 {
		errs = d.PutMany(ctx, writes)
	} else {
		errs = f.putEach(ctx, writes)
	}
	for i, err := range errs {
		if err != nil {
			bad[writes[i].Key] = err
		}
	}
	if len(bad) > 0 {
		err = f.strip(&BatchError{Errors: bad}, "put")
	}
	return b.leave(err)
}
