package kv

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// seen is a driver over memory that notes what it is asked, and of which a test
// does some parts itself.
type seen struct {
	*memory
	features Features
	get      func(ctx context.Context, key string) (Item, error)
	watch    func(ctx context.Context, from uint64, to sink) error
	list     iter.Seq2[Item, error]

	keys    []string // of each GetMany
	batches int
	puts    atomic.Int64 // from several goroutines
}

func (d *seen) Features() Features { return d.features }

func (d *seen) Get(ctx context.Context, key string) (Item, error) {
	if d.get != nil {
		return d.get(ctx, key)
	}
	return d.memory.Get(ctx, key)
}

func (d *seen) GetMany(ctx context.Context, keys []string) (map[string]Item, error) {
	d.batches++
	d.keys = slices.Clone(keys)
	return d.memory.GetMany(ctx, keys)
}

func (d *seen) Put(ctx context.Context, w Write) (Revision, error) {
	d.puts.Add(1)
	return d.memory.Put(ctx, w)
}

func (d *seen) PutMany(ctx context.Context, writes []Write) []error {
	d.batches++
	return d.memory.PutMany(ctx, writes)
}

func (d *seen) Watch(ctx context.Context, prefix string, from uint64, to sink) error {
	if d.watch != nil {
		return d.watch(ctx, from, to)
	}
	return d.memory.Watch(ctx, prefix, from, to)
}

func (d *seen) List(ctx context.Context, prefix, after string) iter.Seq2[Item, error] {
	if d.list != nil {
		return d.list
	}
	return d.memory.List(ctx, prefix, after)
}

func (d *seen) open(t *testing.T, opts ...Option) *front {
	t.Helper()
	m, err := NewMemoryDriver()
	if err != nil {
		t.Fatal(err)
	}
	d.memory = m.(*memory)
	s, err := New(append(opts, WithDriver("seen", func(context.Context) (Driver, error) { return d, nil }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.(*front)
}

// A driver of batches gets each key once; what says that it has none gets single
// calls.
func TestBatchesOfADriver(t *testing.T) {
	for _, batch := range []bool{true, false} {
		d := &seen{features: Features{Batch: batch}}
		s := d.open(t, WithNamespace("n"))
		if err := s.PutMany(t.Context(), nil); err != nil || d.batches+int(d.puts.Load()) > 0 {
			t.Errorf("batch %t, nothing to put: %v, %d calls", batch, err, d.batches+int(d.puts.Load()))
		}
		if err := s.PutMany(t.Context(), map[string][]byte{"a": []byte("1"), "b": []byte("2")}); err != nil {
			t.Fatal(err)
		}
		got, err := s.GetMany(t.Context(), "b", "a", "b", "c")
		if err != nil || len(got) != 2 || string(got["a"].Value) != "1" || got["b"].Key != "b" {
			t.Errorf("batch %t: %v, %v", batch, got, err)
		}
		if want := map[bool]int{true: 2, false: 0}[batch]; d.batches != want || (d.puts.Load() == 2) == batch {
			t.Errorf("batch %t: %d batches and %d single writes", batch, d.batches, d.puts.Load())
		}
		if batch && !slices.Equal(d.keys, []string{"n/a", "n/b", "n/c"}) {
			t.Errorf("asked for %q", d.keys)
		}
	}
}

// Whose deadline it is decides what the error is.
func TestDeadlinesOfCalls(t *testing.T) {
	for name, c := range map[string]struct {
		features Features
		timeout  time.Duration
		callers  bool
		deadline bool // the driver sees one
		done     bool // and its context ends
		kind     error
		not      error
	}{
		"the store's":                 {Features{}, time.Second, false, true, true, ErrUnavailable, nil},
		"the store's, told only":      {Features{Deadlines: true}, time.Second, false, true, false, ErrUnavailable, nil},
		"the caller's":                {Features{}, time.Second, true, true, true, context.DeadlineExceeded, ErrUnavailable},
		"the caller's, told only":     {Features{Deadlines: true}, time.Second, true, true, true, context.DeadlineExceeded, ErrUnavailable},
		"none of a store that's here": {Features{Local: true}, time.Second, false, false, false, context.DeadlineExceeded, ErrUnavailable},
	} {
		d := &seen{features: c.features}
		s := d.open(t, WithTimeout(c.timeout))
		d.get = func(ctx context.Context, _ string) (Item, error) {
			if _, ok := ctx.Deadline(); ok != c.deadline || (ctx.Done() != nil) != c.done {
				t.Errorf("%s: a deadline %t, an end %t", name, ok, ctx.Done() != nil)
			}
			return Item{}, context.DeadlineExceeded
		}
		ctx := context.Background()
		if c.callers {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Minute)
			defer cancel()
		}
		if _, err := s.Get(ctx, "k"); !errors.Is(err, c.kind) || c.not != nil && errors.Is(err, c.not) {
			t.Errorf("%s: %v, want %v", name, err, c.kind)
		}
	}
}

func TestListEnds(t *testing.T) {
	d := &seen{features: Features{List: true}}
	s := d.open(t)
	for _, key := range []string{"a", "b", "c"} {
		if _, err := s.Put(t.Context(), key, nil); err != nil {
			t.Fatal(err)
		}
	}
	for limit, want := range map[int]int{-1: -1, 0: -1, 1: 1, 2: 2, 3: 3, 4: 3} {
		n := 0
		for _, err := range s.List(t.Context(), "", Limit(limit)) {
			if n++; err != nil {
				if n = -1; !errors.Is(err, ErrInvalid) {
					t.Error(err)
				}
			}
		}
		if n != want {
			t.Errorf("limit %d: %d items, want %d", limit, n, want)
		}
	}
	for _, err := range s.List(t.Context(), "", nil) {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("a nil option: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	n := 0
	for _, err := range s.List(ctx, "") {
		if last = err; err == nil {
			n++
			cancel()
		}
	}
	if n != 1 || !errors.Is(last, context.Canceled) {
		t.Errorf("given up after the first: %d items, %v", n, last)
	}
	for name, c := range map[string]struct {
		close bool
		want  error
	}{"a failure": {false, ErrUnavailable}, "a failure after Close": {true, ErrClosed}} {
		d := &seen{features: Features{List: true}}
		s := d.open(t)
		d.list = func(yield func(Item, error) bool) {
			if c.close {
				go s.Close()
				<-s.life.Done()
			}
			yield(Item{}, ErrUnavailable)
		}
		for _, err := range s.List(t.Context(), "") {
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
		}
	}
}

func TestWatchesThatCannotBe(t *testing.T) {
	d := &seen{}
	for _, err := range d.open(t).Watch(t.Context(), "") {
		if !errors.Is(err, ErrUnsupported) {
			t.Errorf("a driver that says it can't: %v", err)
		}
	}
	for _, kind := range []error{ErrUnsupported, ErrInvalid, ErrClosed} {
		d := &seen{features: Features{Watch: true}, watch: func(context.Context, uint64, sink) error { return kind }}
		told := 0
		for _, err := range d.open(t).Watch(t.Context(), "") {
			if told++; !errors.Is(err, kind) || told > 1 {
				t.Errorf("%v: %v, told %d times", kind, err, told)
				break
			}
		}
	}
}

// Follow is live from the state to the end of each session, and goes on where it
// ended.
func TestFollowSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var from []uint64
		d := &seen{features: Features{Watch: true}}
		d.watch = func(ctx context.Context, at uint64, to sink) error {
			from = append(from, at)
			to.Synced(uint64(10 * len(from)))
			to.Put(Item{Key: "n/a"})
			to.Delete("n/b")
			if len(from) == 3 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		s := d.open(t, WithNamespace("n"))
		ctx, cancel := context.WithCancel(t.Context())
		var told strings.Builder
		done := make(chan error)
		go func() {
			done <- s.Follow(ctx, "", func(on bool) { told.WriteString(map[bool]string{true: "+", false: "-"}[on]) }, func(key string) { told.WriteString(key) })
		}()
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := "+ab-+ab-+ab"; told.String() != want || !slices.Equal(from, []uint64{0, 10, 20}) {
			t.Errorf("told %s from %d, want %s from 0, 10, 20", told.String(), from, want)
		}
		cancel()
		<-done
		if !strings.HasSuffix(told.String(), "ab-") {
			t.Errorf("it is live after its end: %s", told.String())
		}
	})
}

// collect gives what waits in a watch, and its outage.
func (w *watchState) collect(t *testing.T) (out string) {
	t.Helper()
	for len(w.order) > 0 || w.outage != nil {
		e, err, ok := w.next(t.Context())
		switch {
		case !ok:
			t.Fatal("ended")
		case err != nil:
			out += "! "
		case e.Kind == EventPut:
			out += "+" + e.Item.Key + " "
		case e.Kind == EventDelete:
			out += "-" + e.Item.Key + " "
		default:
			out += ". "
		}
	}
	return strings.TrimSpace(out)
}

// How a reader is notified of what the sessions say.
func TestWhatAWatchTells(t *testing.T) {
	now := time.Now()
	end := func(after time.Duration) time.Time { return now.Add(after) }
	for name, c := range map[string]struct {
		do   func(w *watchState)
		want string
	}{
		"the state":     {func(w *watchState) { w.begin(true); w.put(Item{Key: "a", Revision: 1}); w.synced() }, "+a ."},
		"the mark once": {func(w *watchState) { w.begin(true); w.synced(); w.synced() }, "."},
		"the same again": {func(w *watchState) {
			w.put(Item{Key: "a", Revision: 1})
			w.collectQuietly()
			w.put(Item{Key: "a", Revision: 1})
		}, ""},
		"another revision": {func(w *watchState) {
			w.put(Item{Key: "a", Revision: 1})
			w.collectQuietly()
			w.put(Item{Key: "a", Revision: 2})
		}, "+a"},
		"an end that is new": {func(w *watchState) {
			w.put(Item{Key: "a", Revision: 1})
			w.collectQuietly()
			w.put(Item{Key: "a", Revision: 1, Expires: end(0)})
		}, "+a"},
		"an end that is gone": {func(w *watchState) {
			w.put(Item{Key: "a", Revision: 1, Expires: end(0)})
			w.collectQuietly()
			w.put(Item{Key: "a", Revision: 1})
		}, "+a"},
		"an end nearly the same": {func(w *watchState) {
			w.put(Item{Key: "a", Revision: 1, Expires: end(0)})
			w.collectQuietly()
			w.put(Item{Key: "a", Revision: 1, Expires: end(99 * time.Millisecond)})
		}, ""},
		"an end that is later": {func(w *watchState) {
			w.put(Item{Key: "a", Revision: 1, Expires: end(0)})
			w.collectQuietly()
			w.put(Item{Key: "a", Revision: 1, Expires: end(100 * time.Millisecond)})
		}, "+a"},
		"gone": {func(w *watchState) {
			w.put(Item{Key: "a", Revision: 1})
			w.collectQuietly()
			w.delete("a")
			w.delete("a")
		}, "-a"},
		"gone before it was told": {func(w *watchState) { w.delete("a") }, ""},
		"gone in a gap": {func(w *watchState) {
			w.put(Item{Key: "a", Revision: 1})
			w.put(Item{Key: "b", Revision: 1})
			w.collectQuietly()
			w.begin(true)
			w.put(Item{Key: "b", Revision: 1})
			w.synced()
		}, "-a ."},
		"a session that goes on": {func(w *watchState) {
			w.put(Item{Key: "a", Revision: 1})
			w.collectQuietly()
			w.begin(false)
			w.synced()
		}, ""},
		"the same, after an outage": {func(w *watchState) { w.interrupted(ErrUnavailable); w.collectQuietly(); w.begin(false); w.synced() }, "."},
		"an outage":                 {func(w *watchState) { w.interrupted(ErrUnavailable); w.interrupted(ErrUnavailable) }, "!"},
		"an outage that is over":    {func(w *watchState) { w.interrupted(ErrUnavailable); w.begin(false); w.synced() }, "."},
		"the newest of a key, once": {func(w *watchState) {
			w.put(Item{Key: "a", Revision: 1})
			w.put(Item{Key: "b", Revision: 1})
			w.put(Item{Key: "a", Revision: 2})
		}, "+a +b"},
		"a mark goes to the end": {func(w *watchState) {
			w.begin(true)
			w.put(Item{Key: "a", Revision: 1})
			w.synced()
			w.begin(true)
			w.put(Item{Key: "a", Revision: 2})
			w.put(Item{Key: "b", Revision: 1})
			w.synced()
		}, "+a +b ."},
		"a key's place stays": {func(w *watchState) {
			w.begin(true)
			w.put(Item{Key: "a", Revision: 1})
			w.synced()
			w.put(Item{Key: "a", Revision: 2})
		}, "+a ."},
	} {
		w := newWatchState((&seen{}).open(t), "")
		c.do(w)
		if got := w.collect(t); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	for in, want := range map[error]error{errors.New("x"): ErrUnavailable, fault.Denied: fault.Denied, fault.Unavailable: fault.Unavailable} {
		w := newWatchState((&seen{}).open(t), "")
		w.interrupted(in)
		if _, err, _ := w.next(t.Context()); !errors.Is(err, want) || in == fault.Denied && errors.Is(err, fault.Unavailable) {
			t.Errorf("an outage of %v: %v, want %v", in, err, want)
		}
	}
}

// collectQuietly takes what waits.
func (w *watchState) collectQuietly() {
	w.order, w.waiting, w.outage = nil, map[string]Event{}, nil
}

// The backend is asked for what should be over, and only about that.
func TestWhatAWatchAsksAtTheEndOfALife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		for name, c := range map[string]struct {
			expires, now time.Duration // of what is known, and of what is there; 0: none
			answer       error
			revision     Revision
			ok           bool
			told         string
			asked        bool
			due          time.Duration // it is looked at again then; 0: never
		}{
			"without an end":            {0, 0, nil, 1, true, "", false, 0},
			"not over yet":              {time.Minute, 0, nil, 1, true, "", false, time.Minute},
			"over":                      {-1, 0, ErrNotFound, 1, true, "-k", true, 0},
			"over just now":             {0 - 1, 0, ErrNotFound, 1, true, "-k", true, 0},
			"no answer":                 {-1, 0, ErrUnavailable, 1, false, "", true, 0},
			"its life was made longer":  {-1, time.Hour, nil, 1, true, "", true, time.Hour},
			"its life was made endless": {-1, 0, nil, 1, true, "", true, 0},
			"it is another one":         {-1, time.Hour, nil, 2, true, "", true, 0},
		} {
			d := &seen{}
			w := newWatchState(d.open(t), "")
			asked := false
			d.get = func(context.Context, string) (Item, error) {
				asked = true
				item := Item{Key: "k", Revision: c.revision}
				if c.now != 0 {
					item.Expires = start.Add(c.now)
				}
				return item, c.answer
			}
			known := told{rev: 1}
			if c.expires != 0 {
				known.expires = start.Add(c.expires)
			}
			w.known["k"] = known
			if ok := w.expiry.confirm(t.Context(), "k"); ok != c.ok || asked != c.asked {
				t.Errorf("%s: confirmed %t, asked %t, want %t, %t", name, ok, asked, c.ok, c.asked)
			}
			due, again := w.expiry.due.Get("k")
			if got := w.collect(t); got != c.told || again != (c.due != 0) || again && !due.At.Equal(start.Add(c.due)) {
				t.Errorf("%s: told %q, looked at again %t at %s; want %q, %s", name, got, again, due.At.Sub(start), c.told, c.due)
			}
		}
		w := newWatchState((&seen{}).open(t), "")
		if !w.expiry.confirm(t.Context(), "unknown") {
			t.Error("a key that nobody knows is asked for again")
		}
		x := w.expiry
		x.add("a", start.Add(2*time.Second))
		x.add("a", start.Add(3*time.Second)) // the first entry finds it
		x.add("b", start.Add(time.Second))
		x.add("a", start) // earlier
		if x.due.Len() != 2 {
			t.Errorf("%d entries, want 2", x.due.Len())
		}
		for i, want := range []struct {
			key  string
			wait time.Duration
		}{{"a", 0}, {"", time.Second}} {
			if key, wait := x.pop(); key != want.key || wait != want.wait {
				t.Errorf("pop %d: %q, %s, want %q, %s", i, key, wait, want.key, want.wait)
			}
		}
		time.Sleep(time.Second)
		if key, _ := x.pop(); key != "b" {
			t.Errorf("then %q, want b", key)
		}
		time.Sleep(time.Second)
		if key, wait := x.pop(); key != "" || wait != time.Hour || x.due.Len() != 0 {
			t.Errorf("an entry that an earlier one replaced: %q, %s, %d due", key, wait, x.due.Len())
		}
	})
}

// What is written with a long life, and deleted long before its end, leaves nothing
// behind: the memory of a watch is that of what is there.
func TestAWatchForgetsTheEndsOfWhatIsGone(t *testing.T) {
	w := newWatchState((&seen{}).open(t), "")
	w.begin(true)
	w.synced()
	for i := range 1000 {
		key := fmt.Sprint(i)
		w.put(Item{Key: key, Revision: Revision(i + 1), Expires: time.Now().Add(time.Hour)})
		if i%100 != 0 {
			w.delete(key)
		}
		w.next(t.Context())
	}
	if n := w.expiry.due.Len(); n != 10 || len(w.known) != 10 {
		t.Errorf("%d ends of %d items are remembered, want those of 10", n, len(w.known))
	}
}

func TestMemoryOptionsAndFeatures(t *testing.T) {
	for name, opts := range map[string][]MemoryOption{"nil": {nil}, "small": {MaxBytes(4095)}} {
		if d, err := NewMemoryDriver(opts...); d != nil || !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, %v, want ErrInvalid", name, d, err)
		}
	}
	for _, c := range []struct {
		opt    MemoryOption
		evicts bool
	}{{MaxBytes(4096), true}, {MaxBytes(1 << 30), true}, {Unbounded(), false}} {
		d, err := NewMemoryDriver(c.opt)
		if err != nil {
			t.Fatal(err)
		}
		if f := d.Features(); f.Evicts != c.evicts || (f.MaxValue > 0) != c.evicts {
			t.Errorf("evicts %t: %+v", c.evicts, f)
		}
		d.Close()
	}
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range s.Watch(t.Context(), "") {
		break
	}
	if m := s.(*front).driver.(*memory); m.count.Load() != 0 || len(m.all) != 0 {
		t.Errorf("%d watchers are kept, %d counted", len(m.all), m.count.Load())
	}
}

func TestErrorOfABatch(t *testing.T) {
	for want, errs := range map[string]map[string]error{
		"no key failed": nil, `1 keys failed, the first is "a": conflict`: {"a": ErrConflict}, `2 keys failed, the first is "a": conflict`: {"b": ErrExists, "a": ErrConflict},
	} {
		if got := (&BatchError{Errors: errs}).Error(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
