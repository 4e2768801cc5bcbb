package memcached

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/micro/go-platform/internal/conn/memcached"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
)

// double is a server in memory.
type double struct {
	mu    sync.Mutex
	items map[string]memcached.Op
	cas   uint64
	most  int   // bytes of an item; 0: not known
	trips []int // how many requests each had

	before func(op *memcached.Op)       // e.g. another program writes
	fail   func(op *memcached.Op) error // the answer is lost after it is done; unsent: it is not done
}

var errUnsent = fault.Markf(fault.Unavailable, "not sent")

func (s *double) MaxItem() int { return s.most }

func (s *double) Do(_ context.Context, ops []*memcached.Op) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trips = append(s.trips, len(ops))
	for _, op := range ops {
		if s.before != nil {
			s.before(op)
		}
		err := error(nil)
		if s.fail != nil {
			err = s.fail(op)
		}
		if !errors.Is(err, fault.Unavailable) {
			s.one(op)
		}
		if err != nil {
			op.Done, op.Err = false, err
		}
	}
}

func (s *double) one(op *memcached.Op) {
	old, there := s.items[op.Key]
	switch op.Verb {
	case memcached.Get:
		op.Done, op.CAS, op.Flags, op.Value = there, old.CAS, old.Flags, bytes.Clone(old.Value)
		return
	case memcached.Delete:
		delete(s.items, op.Key)
		op.Done = there
		return
	case memcached.Add:
		op.Done = !there
	case memcached.CompareAndSwap:
		op.Done, op.Changed = there && old.CAS == op.CAS, there && old.CAS != op.CAS
	default:
		op.Done = true
	}
	if op.Done {
		s.put(op)
	}
}

func (s *double) put(op *memcached.Op) {
	if op.Exptime < 0 { // it is over at once
		delete(s.items, op.Key)
		return
	}
	s.cas++
	c := *op
	c.CAS, c.Value = s.cas, bytes.Clone(op.Value)
	s.items[op.Key] = c
}

func onDouble(t *testing.T) (*driver, *double) {
	t.Helper()
	s := &double{items: map[string]memcached.Op{}}
	d := &driver{}
	d.life, d.end = context.WithCancel(context.Background())
	d.lines = []*line{d.newLine(s)}
	d.pick = func(string) *line { return d.lines[0] }
	t.Cleanup(func() { d.Close() })
	return d, s
}

// dead puts an item whose life is over, and that the server still has.
func (s *double) dead(key string) {
	op := seal(kv.Write{Key: key, Value: []byte("old"), TTL: time.Hour}, 7)
	copy(op.Value[8:16], []byte{0, 0, 0, 0, 0, 0, 0, 1})
	s.put(op)
}

func value(t *testing.T, d *driver, key string) string {
	t.Helper()
	item, err := d.Get(t.Context(), key)
	if errors.Is(err, kv.ErrNotFound) {
		return "-"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(item.Value)
}

// What conditional writes do with what is there, was there, or changes meanwhile.
func TestConditionsOfWrites(t *testing.T) {
	const rev, none = 7, memcached.Verb(99)
	for _, c := range []struct {
		name   string
		there  string // what is stored before: "", "old" of the revision, "dead"
		w      kv.Write
		remove bool
		racer  memcached.Verb // before which other writes, or removes it
		what   string
		err    error
		want   string
	}{
		{"absent: nothing", "", kv.Write{IfAbsent: true}, false, none, "", nil, "new"},
		{"absent: something", "old", kv.Write{IfAbsent: true}, false, none, "", kv.ErrExists, "old"},
		{"absent: dead", "dead", kv.Write{IfAbsent: true}, false, none, "", nil, "new"},
		{"absent: dead, and another takes it", "dead", kv.Write{IfAbsent: true}, false, memcached.CompareAndSwap, "other", kv.ErrExists, "other"},
		{"absent: gone after it was seen", "old", kv.Write{IfAbsent: true}, false, memcached.Get, "", nil, "new"},
		{"revision: the same", "old", kv.Write{IfRevision: rev}, false, none, "", nil, "new"},
		{"revision: another", "old", kv.Write{IfRevision: rev + 1}, false, none, "", kv.ErrConflict, "old"},
		{"revision: nothing", "", kv.Write{IfRevision: rev}, false, none, "", kv.ErrConflict, "-"},
		{"revision: dead", "dead", kv.Write{IfRevision: rev}, false, none, "", kv.ErrConflict, "-"},
		{"revision: another writes", "old", kv.Write{IfRevision: rev}, false, memcached.CompareAndSwap, "other", kv.ErrConflict, "other"},
		{"revision: another removes", "old", kv.Write{IfRevision: rev}, false, memcached.CompareAndSwap, "", kv.ErrConflict, "-"},
		{"remove: anything", "old", kv.Write{}, true, none, "", nil, "-"},
		{"remove: nothing", "", kv.Write{}, true, none, "", nil, "-"},
		{"remove: the same", "old", kv.Write{IfRevision: rev}, true, none, "", nil, "-"},
		{"remove: another", "old", kv.Write{IfRevision: rev + 1}, true, none, "", kv.ErrConflict, "old"},
		{"remove: nothing of a revision", "", kv.Write{IfRevision: rev}, true, none, "", kv.ErrConflict, "-"},
		{"remove: dead", "dead", kv.Write{IfRevision: rev}, true, none, "", kv.ErrConflict, "-"},
		{"remove: another writes", "old", kv.Write{IfRevision: rev}, true, memcached.CompareAndSwap, "other", kv.ErrConflict, "other"},
	} {
		d, s := onDouble(t)
		switch c.there {
		case "old":
			s.put(seal(kv.Write{Key: "k", Value: []byte("old")}, rev))
		case "dead":
			s.dead("k")
		}
		s.before = func(op *memcached.Op) {
			if op.Verb != c.racer {
				return
			}
			s.before = nil
			if c.what == "" {
				delete(s.items, "k")
			} else {
				s.put(seal(kv.Write{Key: "k", Value: []byte(c.what)}, 9))
			}
		}
		var err error
		var got kv.Revision
		if c.remove {
			err = d.Delete(t.Context(), "k", c.w.IfRevision)
		} else {
			c.w.Key, c.w.Value = "k", []byte("new")
			got, err = d.Put(t.Context(), c.w)
		}
		if !errors.Is(err, c.err) || c.err == nil && err != nil || (got != 0) != (err == nil && !c.remove) {
			t.Errorf("%s: revision %d, %v, want %v", c.name, got, err, c.err)
		}
		s.before = nil
		if got := value(t, d, "k"); got != c.want {
			t.Errorf("%s: %q is stored, want %q", c.name, got, c.want)
		}
	}
}

// What is made of answers that are lost: reads are made again once, writes are looked
// for, and what is not known is said.
func TestAnswersThatAreLost(t *testing.T) {
	lost := fmt.Errorf("%w: broken", memcached.ErrLost)
	late := fmt.Errorf("%w: %w", memcached.ErrLost, context.DeadlineExceeded)
	type loss struct {
		n    int
		verb memcached.Verb
		err  error
	}
	lose := func(all ...loss) func(*memcached.Op) error {
		left := slices.Clone(all)
		return func(op *memcached.Op) error {
			for i := range left {
				if l := &left[i]; l.verb == op.Verb && l.n > 0 {
					l.n--
					return l.err
				}
			}
			return nil
		}
	}
	get := func(d *driver) error { _, err := d.Get(t.Context(), "k"); return err }
	put := func(w kv.Write) func(d *driver) error {
		w.Key, w.Value = "k", []byte("new")
		return func(d *driver) error { _, err := d.Put(t.Context(), w); return err }
	}
	remove := func(rev kv.Revision) func(d *driver) error {
		return func(d *driver) error { return d.Delete(t.Context(), "k", rev) }
	}
	for _, c := range []struct {
		name string
		lose []loss
		do   func(d *driver) error
		err  error
		want string
	}{
		{"get", []loss{{1, memcached.Get, lost}}, get, nil, "old"},
		{"get, twice", []loss{{2, memcached.Get, lost}}, get, kv.ErrUnavailable, "old"},
		{"get, too late", []loss{{1, memcached.Get, late}}, get, kv.ErrUnavailable, "old"},
		{"get, not sent", []loss{{1, memcached.Get, errUnsent}}, get, kv.ErrUnavailable, "old"},
		{"put", []loss{{1, memcached.Set, lost}}, put(kv.Write{}), nil, "new"},
		{"put, not sent", []loss{{1, memcached.Set, errUnsent}}, put(kv.Write{}), kv.ErrUnavailable, "old"},
		{"put, and it can't be looked for", []loss{{1, memcached.Set, lost}, {2, memcached.Get, lost}}, put(kv.Write{}), kv.ErrUnknownOutcome, "new"},
		{"put if revision, read", []loss{{2, memcached.Get, lost}}, put(kv.Write{IfRevision: 7}), kv.ErrUnavailable, "old"},
		{"put if revision", []loss{{1, memcached.CompareAndSwap, lost}}, put(kv.Write{IfRevision: 7}), nil, "new"},
		{"put if absent, read", []loss{{2, memcached.Get, lost}}, put(kv.Write{IfAbsent: true}), kv.ErrUnavailable, "old"},
		{"put if absent, not sent", []loss{{1, memcached.Add, errUnsent}}, put(kv.Write{IfAbsent: true}), kv.ErrUnavailable, "old"},
		{"remove", []loss{{1, memcached.Delete, lost}}, remove(0), kv.ErrUnknownOutcome, "-"},
		{"remove if revision, read", []loss{{2, memcached.Get, lost}}, remove(7), kv.ErrUnavailable, "old"},
		{"remove if revision", []loss{{1, memcached.CompareAndSwap, lost}}, remove(7), kv.ErrUnknownOutcome, "-"},
		{"remove if revision, not sent", []loss{{1, memcached.CompareAndSwap, errUnsent}}, remove(7), kv.ErrUnavailable, "old"},
	} {
		for _, alone := range []bool{false, true} {
			d, s := onDouble(t)
			d.alone = alone
			s.put(seal(kv.Write{Key: "k", Value: []byte("old")}, 7))
			s.fail = lose(c.lose...)
			err := c.do(d)
			if fault.KindOf(err) != fault.KindOf(c.err) || (err == nil) != (c.err == nil) {
				t.Errorf("%s: %v, want %v", c.name, err, c.err)
			}
			s.fail = nil
			if got := value(t, d, "k"); got != c.want {
				t.Errorf("%s: %q is stored, want %q", c.name, got, c.want)
			}
		}
	}
	// Something else is there than what was written: it may have been, in between.
	d, s := onDouble(t)
	s.fail = lose(loss{1, memcached.Set, lost})
	s.before = func(op *memcached.Op) {
		if op.Verb == memcached.Get {
			s.put(seal(kv.Write{Key: "k", Value: []byte("other")}, 9))
		}
	}
	if err := put(kv.Write{})(d); !errors.Is(err, kv.ErrUnknownOutcome) {
		t.Errorf("another has written meanwhile: %v", err)
	}
	over, cancel := context.WithCancel(t.Context())
	d, s = onDouble(t)
	s.fail = func(*memcached.Op) error { cancel(); return lost }
	if _, err := d.Get(over, "k"); !errors.Is(err, context.Canceled) || len(s.trips) != 1 {
		t.Errorf("a read whose caller left: %v after %d requests", err, len(s.trips))
	}
	for _, w := range []kv.Write{{Key: "k"}, {Key: "k", Value: make([]byte, large)}} {
		over, cancel := context.WithCancel(t.Context())
		d, s := onDouble(t)
		s.fail = func(*memcached.Op) error { cancel(); return lost }
		if _, err := d.Put(over, w); !errors.Is(err, kv.ErrUnknownOutcome) || !errors.Is(err, context.Canceled) || len(s.trips) != 1 {
			t.Errorf("a write of %d bytes whose caller left: %v after %d requests", len(w.Value), err, len(s.trips))
		}
	}
}

// What does not fit into the server's item is refused before it is sent; just what fits
// is not.
func TestItemsOfTheServer(t *testing.T) {
	w := kv.Write{Key: "k", Value: make([]byte, 1000)}
	size := len("k") + sealedHead + 1000 + itemHead
	for most, refused := range map[int]bool{0: false, size + 1: false, size: false, size - 1: true} {
		d, s := onDouble(t)
		s.most = most
		if _, err := d.Put(t.Context(), w); errors.Is(err, kv.ErrTooLarge) != refused || (len(s.trips) == 0) != refused {
			t.Errorf("an item of %d in a server of %d: %v, sent %d times", size, most, err, len(s.trips))
		}
		errs := d.PutMany(t.Context(), []kv.Write{{Key: "a"}, w, {Key: "b"}})
		if errors.Is(errs[1], kv.ErrTooLarge) != refused || errs[0] != nil || errs[2] != nil {
			t.Errorf("among others in a server of %d: %v", most, errs)
		}
		want := 3
		if refused {
			want = 2
		}
		if got, err := d.GetMany(t.Context(), []string{"a", "k", "b", "none"}); len(got) != want || err != nil {
			t.Errorf("of a server of %d: %d items, %v, want %d", most, len(got), err, want)
		}
	}
}

// Batches go in trips of at most so many, and about so many bytes.
func TestTripsOfBatches(t *testing.T) {
	for n, want := range map[int]string{0: "[]", 1: "[1]", perTrip - 1: "[255]", perTrip: "[256]", perTrip + 1: "[256 1]", 2*perTrip + 1: "[256 256 1]"} {
		d, s := onDouble(t)
		var writes []kv.Write
		var keys []string
		for i := range n {
			keys = append(keys, fmt.Sprint("k", i))
			writes = append(writes, kv.Write{Key: keys[i], Value: []byte(keys[i])})
		}
		for _, err := range d.PutMany(t.Context(), writes) {
			if err != nil {
				t.Fatal(err)
			}
		}
		if got := fmt.Sprint(s.trips); got != want {
			t.Errorf("%d writes in %s, want %s", n, got, want)
		}
		s.trips = nil
		if got, err := d.GetMany(t.Context(), keys); len(got) != n || err != nil || fmt.Sprint(s.trips) != want {
			t.Errorf("%d reads bring %d items in %v, %v, want %s", n, len(got), s.trips, err, want)
		}
	}
	const half = bytesPerTrip/2 - len("k") - sealedHead
	for want, sizes := range map[string][]int{"[2]": {half, half}, "[1 1]": {half, half + 1}, "[1 2]": {3 * half, half, half}, "[3]": {half, half/2 - len("k") - sealedHead, half / 2}} {
		d, s := onDouble(t)
		var writes []kv.Write
		for i, n := range sizes {
			writes = append(writes, kv.Write{Key: fmt.Sprint(i), Value: make([]byte, n)})
		}
		if err := errors.Join(d.PutMany(t.Context(), writes)...); err != nil || fmt.Sprint(s.trips) != want {
			t.Errorf("writes of %d bytes in %v, %v, want %s", sizes, s.trips, err, want)
		}
	}
	d, s := onDouble(t)
	s.put(seal(kv.Write{Key: "a"}, 1))
	s.dead("dead")
	s.fail = func(op *memcached.Op) error {
		if op.Key == "bad" {
			return errUnsent
		}
		return nil
	}
	items, err := d.GetMany(t.Context(), []string{"a", "bad", "dead", "none"})
	var bad *kv.BatchError
	if !errors.As(err, &bad) || len(bad.Errors) != 1 || !errors.Is(bad.Errors["bad"], fault.Unavailable) || len(items) != 1 {
		t.Errorf("%v, %v", items, err)
	}
	over, cancel := context.WithCancel(t.Context())
	s.fail = func(*memcached.Op) error { cancel(); return memcached.ErrLost }
	if _, err := d.GetMany(over, []string{"a"}); err != context.Canceled {
		t.Errorf("a batch whose caller left: %v", err)
	}
}

// What is an envelope, what is none, and when one is over.
func TestEnvelopes(t *testing.T) {
	long := strings.Repeat("k", maxKey+1)
	sealedOp := func(key string, ttl time.Duration) *memcached.Op {
		op := seal(kv.Write{Key: key, Value: []byte("v"), TTL: ttl}, 7)
		op.Done = true
		return op
	}
	for name, c := range map[string]struct {
		op    *memcached.Op
		key   string
		value string // "-": there is none
		ours  bool
		dead  bool
	}{
		"nothing":             {&memcached.Op{}, "k", "-", false, false},
		"ours":                {sealedOp("k", 0), "k", "v", true, false},
		"ours, with an end":   {sealedOp("k", time.Hour), "k", "v", true, false},
		"of a long key":       {sealedOp(long, 0), long, "v", true, false},
		"of another long key": {sealedOp(long, 0), long + "x", "-", false, false},
		"another's":           {&memcached.Op{Done: true, Value: []byte("plain"), CAS: 1}, "k", "plain", false, false},
		"short":               {&memcached.Op{Done: true, Flags: sealed, Value: make([]byte, sealedHead-1)}, "k", string(make([]byte, sealedHead-1)), false, false},
		"just a head":         {&memcached.Op{Done: true, Flags: sealed, Value: make([]byte, sealedHead)}, "k", "", true, false},
		"a key that is cut":   {&memcached.Op{Done: true, Flags: sealed, Value: append(make([]byte, sealedHead-1), 2, 'k')}, "k", string(append(make([]byte, sealedHead-1), 2, 'k')), false, false},
		"just a key":          {&memcached.Op{Done: true, Flags: sealed, Value: append(make([]byte, sealedHead-1), 1, 'k')}, "k", "", true, false},
		"over":                {&memcached.Op{Done: true, Flags: sealed, Value: append(append(make([]byte, 15), 1), 0, 0)}, "k", "", true, true},
		"an odd end":          {&memcached.Op{Done: true, Flags: sealed, Value: append(bytes.Repeat([]byte{0xff}, 16), 0, 0)}, "k", "", true, false},
	} {
		f := unseal(c.key, c.op)
		switch {
		case c.value == "-":
			if f != nil {
				t.Errorf("%s: %+v", name, f)
			}
		case f == nil || string(f.item.Value) != c.value || f.item.Revision == 0 || f.dead != c.dead || f.item.Key != c.key:
			t.Errorf("%s: %+v, want %q, dead %v", name, f, c.value, c.dead)
		case c.ours && f.item.Revision != 7 && f.item.Revision != 1 && f.item.Revision != math.MaxUint64:
			t.Errorf("%s: revision %d", name, f.item.Revision)
		}
	}
	for ttl, want := range map[time.Duration]time.Duration{time.Millisecond: time.Millisecond, time.Hour: time.Hour, month: month, math.MaxInt64: 0} {
		before := time.Now()
		f := unseal("k", sealedOp("k", ttl))
		if life := f.item.Expires.Sub(before); want > 0 && (life < want-time.Millisecond || life > want+time.Minute) || want == 0 && f.item.Expires.Unix() != math.MaxInt32 {
			t.Errorf("a life of %v ends in %v", ttl, life)
		}
	}
	for ttl, want := range map[time.Duration]int64{0: 2, time.Second - 1: 2, time.Second: 3, month - 2*time.Second: 2592000, month - time.Second: 1000 + 2592001, 200 * 365 * 24 * time.Hour: math.MaxInt32} {
		if got := exptime(time.Unix(1000, 0), ttl); got != want {
			t.Errorf("the server is told %d of %v, want %d", got, ttl, want)
		}
	}
	for key, want := range map[string]string{"k": "k", "a b": "a%20b", "%": "%25", "\x7f": "%7F", "~": "~", "\xff": "\xff", "!": "!",
		strings.Repeat("k", maxKey): strings.Repeat("k", maxKey), strings.Repeat("k", maxKey-3) + " ": strings.Repeat("k", maxKey-3) + "%20"} {
		if got := wireKey(key); got != want {
			t.Errorf("%q is %q on the wire, want %q", key, got, want)
		}
	}
	for _, key := range []string{long, strings.Repeat("k", maxKey-2) + " "} {
		if got := wireKey(key); !strings.HasPrefix(got, hashed) || len(got) > maxKey {
			t.Errorf("%q is %q on the wire, want a hash", key, got)
		}
	}
}

// A client that was given ends no round trip when its caller leaves: Close waits for it.
func TestCloseWaitsForWhatWasLeft(t *testing.T) {
	for name, call := range map[string]func(ctx context.Context, d *driver) error{
		"a large write": func(ctx context.Context, d *driver) error {
			_, err := d.Put(ctx, kv.Write{Key: "k", Value: make([]byte, large)})
			return err
		},
		"a batch": func(ctx context.Context, d *driver) error {
			return errors.Join(d.PutMany(ctx, []kv.Write{{Key: "k"}})...)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			d, s := onDouble(t)
			d.given = &memcache.Client{}
			hung := make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			s.before = func(*memcached.Op) { cancel(); <-hung }
			err := call(ctx, d)
			if !errors.Is(err, kv.ErrUnknownOutcome) {
				t.Errorf("%s whose caller left: %v", name, err)
			}
			closed := make(chan struct{})
			go func() { defer close(closed); d.Close() }()
			synctest.Wait()
			select {
			case <-closed:
				t.Errorf("%s: Close did not wait", name)
			default:
			}
			close(hung)
			<-closed
		})
	}
}
