package kv

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/cache"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// MemoryOption configures the embedded store.
type MemoryOption func(*memoryOptions) error

type memoryOptions struct{ maxBytes int64 }

// defaultMaxBytes bounds an embedded store for which nothing else was said.
const defaultMaxBytes = 256 << 20

// MaxBytes bounds what the embedded store holds: keys, values and what it
// needs to keep them. When the bound is reached, what was used least goes. A
// value may have an eighth of the bound. The default is 256 MiB; the least is
// 4 KiB.
func MaxBytes(n int64) MemoryOption {
	return func(o *memoryOptions) error {
		if n < 4<<10 {
			return invalidf("MaxBytes(%d), want 4096 or more", n)
		}
		o.maxBytes = n
		return nil
	}
}

// Unbounded takes the bound off: nothing is ever evicted.
func Unbounded() MemoryOption {
	return func(o *memoryOptions) error { o.maxBytes = 0; return nil }
}

// Memory is the embedded backend, and the default: the items live in this
// process, until the store is closed. Reads take no lock.
func Memory(opts ...MemoryOption) Option {
	return WithDriver("memory", func(context.Context) (Driver, error) { return NewMemoryDriver(opts...) })
}

// NewMemoryDriver returns the embedded backend's driver, for a driver of one's
// own that stands on it, or to open several stores, with different namespaces,
// on the same items.
func NewMemoryDriver(opts ...MemoryOption) (Driver, error) {
	o := memoryOptions{maxBytes: defaultMaxBytes}
	if err := fronts.Apply(&o, opts); err != nil {
		return nil, fault.Mark(ErrInvalid, err)
	}
	m := &memory{bounded: o.maxBytes > 0}
	m.items = cache.New(cache.Config[stored]{MaxBytes: o.maxBytes, Removed: func(key string, _ stored, _ cache.Reason) {
		m.changed(key, nil)
	}})
	return m, nil
}

// memory is the embedded driver.
type memory struct {
	items    *cache.Cache[stored]
	bounded  bool
	revision atomic.Uint64
	watchers
}

// stored is what the cache holds: a value that nobody changes any more, and
// without room behind it for an append.
type stored struct {
	value    []byte
	revision Revision
}

func (s stored) item(key string, life time.Duration) Item {
	item := Item{Key: key, Value: s.value, Revision: s.revision}
	if life > 0 {
		item.Expires = time.Now().Add(life)
	}
	return item
}

func (m *memory) Ping(context.Context) error { return nil }

func (m *memory) Features() Features {
	f := Features{
		List: true, Watch: true, Batch: true, Counter: true, Versions: true,
		Linearizable: true, Evicts: m.bounded, Local: true,
	}
	if m.bounded {
		f.MaxValue = int(min(m.items.MaxSize()-MaxKey, math.MaxInt32))
		if f.MaxValue <= 0 {
			f.MaxValue = int(m.items.MaxSize() / 2)
		}
	}
	return f
}

func (m *memory) Close() error {
	m.items.Close()
	return nil
}

func (m *memory) Get(_ context.Context, key string) (Item, error) {
	s, life, ok := m.items.Get(key)
	if !ok {
		return Item{}, ErrNotFound
	}
	return s.item(key, life), nil
}

func (m *memory) GetMany(_ context.Context, keys []string) (map[string]Item, error) {
	items := make(map[string]Item, len(keys))
	for _, key := range keys {
		if s, life, ok := m.items.Get(key); ok {
			items[key] = s.item(key, life)
		}
	}
	return items, nil
}

func (m *memory) Put(_ context.Context, w Write) (rev Revision, err error) {
	value := append(make([]byte, 0, len(w.Value)), w.Value...) // never nil, and no room for an append
	m.items.Update(w.Key, func(old stored, _ time.Duration, ok bool) (ch cache.Change[stored]) {
		switch {
		case w.IfAbsent && ok:
			err = ErrExists
		case w.IfRevision != 0 && (!ok || old.revision != w.IfRevision):
			err = ErrConflict
		default:
			rev = m.next()
			ch = m.change(w.Key, stored{value, rev}, w.TTL)
		}
		return ch
	})
	return rev, err
}

// next returns a revision that was never given.
func (m *memory) next() Revision { return Revision(m.revision.Add(1)) }

// change is the change for the cache, which tells the watchers once it is made.
// Called under the key's lock.
func (m *memory) change(key string, s stored, life time.Duration) cache.Change[stored] {
	ch := cache.Change[stored]{Op: cache.Set, Value: s, Size: len(s.value), Life: life}
	if m.count.Load() > 0 {
		item := s.item(key, life)
		ch.Then = func() { m.changed(key, &item) }
	}
	return ch
}

func (m *memory) PutMany(ctx context.Context, writes []Write) []error {
	for _, w := range writes {
		_, _ = m.Put(ctx, w) // without a condition it cannot fail
	}
	return nil
}

func (m *memory) Delete(_ context.Context, key string, rev Revision) (err error) {
	m.items.Update(key, func(old stored, _ time.Duration, ok bool) (ch cache.Change[stored]) {
		switch {
		case rev != 0 && (!ok || old.revision != rev):
			err = ErrConflict
		case ok:
			ch.Op = cache.Remove
			if m.count.Load() > 0 {
				ch.Then = func() { m.changed(key, nil) }
			}
		}
		return ch
	})
	return err
}

func (m *memory) Add(_ context.Context, key string, delta int64, ttl time.Duration) (sum int64, err error) {
	m.items.Update(key, func(old stored, life time.Duration, ok bool) (ch cache.Change[stored]) {
		sum = delta
		if ok {
			sum, err = addTo(old.value, delta)
		} else {
			life = ttl
		}
		if err != nil {
			return ch
		}
		ch = m.change(key, stored{slices.Clip(strconv.AppendInt(nil, sum, 10)), m.next()}, life)
		if ok {
			ch.Life = -1
		}
		return ch
	})
	return sum, err
}

// watchers are the watch sessions that follow the store.
type watchers struct {
	count atomic.Int32
	mu    sync.RWMutex
	all   map[*watching]struct{}
}

type watching struct {
	prefix string
	to     sink
}

// changed tells the watchers of key, whose lock is held: so the reports of one
// key come in order.
func (w *watchers) changed(key string, item *Item) {
	if w.count.Load() == 0 {
		return
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	for one := range w.all {
		if !strings.HasPrefix(key, one.prefix) {
			continue
		}
		if item == nil {
			one.to.Delete(key)
			continue
		}
		one.to.Put(*item)
	}
}

// Watch listens before it reads, and reads under the locks under which changes
// are told, so that nothing is missed and nothing older follows something
// newer.
func (m *memory) Watch(ctx context.Context, prefix string, _ uint64, to sink) error {
	one := &watching{prefix, to}
	m.watchers.mu.Lock()
	if m.all == nil {
		m.all = map[*watching]struct{}{}
	}
	m.all[one] = struct{}{}
	m.count.Add(1)
	m.watchers.mu.Unlock()
	defer func() {
		m.watchers.mu.Lock()
		delete(m.all, one)
		m.count.Add(-1)
		m.watchers.mu.Unlock()
	}()
	m.items.Range(func(key string, s stored, life time.Duration) bool {
		if strings.HasPrefix(key, prefix) {
			to.Put(s.item(key, life))
		}
		return ctx.Err() == nil
	})
	if ctx.Err() == nil {
		to.Synced(0)
		<-ctx.Done()
	}
	return ctx.Err()
}
