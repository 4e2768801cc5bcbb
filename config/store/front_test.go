package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/internal/life"
)

// told is a memory of which a test does some parts itself.
type told struct {
	*memory
	ping   error
	newest func(ctx context.Context, r Record, err error) (Record, error)
	read   func(r Record, err error) (Record, error)
	append func(r Record) error
	names  error

	pings, reads, closes int
}

func (d *told) Ping(context.Context) error { d.pings++; return d.ping }
func (d *told) Close() error               { d.closes++; return nil }

func (d *told) Newest(ctx context.Context, ns string) (Record, error) {
	r, err := d.memory.Newest(ctx, ns)
	if d.newest != nil {
		return d.newest(ctx, r, err)
	}
	return r, err
}

func (d *told) Read(ctx context.Context, ns string, n uint64) (Record, error) {
	d.reads++
	r, err := d.memory.Read(ctx, ns, n)
	if d.read != nil {
		return d.read(r, err)
	}
	return r, err
}

func (d *told) Append(ctx context.Context, r Record) error {
	if d.append != nil {
		return d.append(r)
	}
	return d.memory.Append(ctx, r)
}

func (d *told) Namespaces(ctx context.Context) ([]string, error) {
	if d.names != nil {
		return nil, d.names
	}
	return d.memory.Namespaces(ctx)
}

func (d *told) open(t *testing.T, opts ...Option) *front {
	t.Helper()
	d.memory = newMemory()
	s, err := New(append([]Option{WithDriver("told", func(context.Context) (Driver, error) { return d, nil })}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.(*front)
}

func TestDriversThatDoNotOpen(t *testing.T) {
	plain := errors.New("broken")
	for name, c := range map[string]struct {
		none bool
		open error
		ping error
		lazy bool
		want error // nil: it opens
		not  error
	}{
		"fine":                    {},
		"none":                    {none: true, want: ErrInvalid, not: ErrUnavailable},
		"an error of no kind":     {open: plain, want: ErrInvalid, not: ErrUnavailable},
		"unavailable":             {open: ErrUnavailable, want: ErrUnavailable, not: ErrInvalid},
		"no answer":               {ping: ErrUnavailable, want: ErrUnavailable, not: ErrInvalid},
		"an answer of no kind":    {ping: plain, want: ErrUnavailable, not: ErrInvalid},
		"not the server it wants": {ping: ErrInvalid, want: ErrInvalid, not: ErrUnavailable},
		"a refusal":               {ping: ErrDenied, want: ErrDenied, not: ErrUnavailable},
		"no answer, and lazy":     {ping: ErrUnavailable, lazy: true},
	} {
		d := &told{memory: newMemory(), ping: c.ping}
		opts := []Option{WithDriver("told", func(context.Context) (Driver, error) {
			if c.none || c.open != nil {
				return nil, c.open
			}
			return d, nil
		})}
		if c.lazy {
			opts = append(opts, WithLazy())
		}
		s, err := New(opts...)
		if (err == nil) != (c.want == nil) || !errors.Is(err, c.want) || c.not != nil && errors.Is(err, c.not) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if wantPings := map[bool]int{true: 0, false: 1}[c.lazy || c.none || c.open != nil]; d.pings != wantPings {
			t.Errorf("%s: asked %d times, want %d", name, d.pings, wantPings)
		}
		if closed := c.ping != nil && !c.lazy; (d.closes == 1) != closed {
			t.Errorf("%s: closed %d times", name, d.closes)
		}
		if err == nil {
			s.Close()
		}
	}
}

func TestWhoseErrorItIs(t *testing.T) {
	done, cancel := context.WithCancel(t.Context())
	cancel()
	deadline, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for _, c := range []struct {
		name   string
		ctx    context.Context
		err    error
		closed bool
		want   error
		not    error
	}{
		{"none", t.Context(), nil, true, nil, ErrClosed},
		{"the store was closed", t.Context(), context.Canceled, true, ErrClosed, nil},
		{"something else, and closed", t.Context(), ErrNotFound, true, ErrNotFound, ErrClosed},
		{"canceled, and open", t.Context(), context.Canceled, false, context.Canceled, ErrClosed},
		{"the caller's, and closed", done, context.Canceled, true, context.Canceled, ErrClosed},
		{"the store's timeout", t.Context(), context.DeadlineExceeded, false, ErrUnavailable, nil},
		{"the caller's deadline", deadline, context.DeadlineExceeded, false, context.DeadlineExceeded, ErrUnavailable},
	} {
		s := &front{life: life.New()}
		if c.closed {
			s.life.Close(nil)
		}
		if err := s.blame(c.ctx, c.err); !errors.Is(err, c.want) || c.want == nil && err != nil || c.not != nil && errors.Is(err, c.not) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// A call's context ends with the call, whether it has a deadline or not.
func TestContextsOfCallsEnd(t *testing.T) {
	var inner context.Context
	d := &told{newest: func(ctx context.Context, r Record, err error) (Record, error) { inner = ctx; return r, err }}
	s := d.open(t)
	deadline, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for _, ctx := range []context.Context{t.Context(), deadline} {
		s.Get(ctx, "app")
		if inner.Err() == nil {
			t.Error("it goes on")
		}
	}
}

func TestNamesOfNamespaces(t *testing.T) {
	s := (&told{}).open(t)
	long := strings.Repeat("a", 200)
	for name, ok := range map[string]bool{
		"a": true, "a/b": true, long: true,
		"": false, "/a": false, "a/": false, "a//b": false, long + "a": false,
	} {
		if _, err := s.Get(t.Context(), name); errors.Is(err, ErrInvalid) == ok || ok && !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v, want success %t", name, err, ok)
		}
		for _, err := range s.History(t.Context(), Query{Namespace: name}) {
			if ok || name != "" && !errors.Is(err, ErrInvalid) {
				t.Errorf("history of %q: %v", name, err)
			}
		}
	}
}

func TestRecordsThatAreDamaged(t *testing.T) {
	d := &told{}
	s := d.open(t)
	if err := d.Append(t.Context(), Record{Version: Version{Namespace: "app", Number: 1}, Data: []byte(`{`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "app"); err == nil || !strings.Contains(err.Error(), "version 1 is damaged") {
		t.Errorf("Get: %v", err)
	}
}

func TestDiffOfWhatIsNotThere(t *testing.T) {
	s := (&told{}).open(t)
	if _, err := s.Set(t.Context(), "app", "n", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Delete(t.Context(), "app"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from, to uint64
		n        int
		want     error
	}{{1, 2, 1, nil}, {2, 1, 1, nil}, {2, 2, 0, nil}, {1, 3, 0, ErrNotFound}, {3, 1, 0, ErrNotFound}} {
		if got, err := s.Diff(t.Context(), "app", c.from, c.to); len(got) != c.n || !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%d to %d: %v, %v, want %d changes and %v", c.from, c.to, got, err, c.n, c.want)
		}
	}
}

func TestHistoryEnds(t *testing.T) {
	d := &told{}
	s := d.open(t)
	for i := range 3 {
		for _, ns := range []string{"app", "app/prod", "other"} {
			if _, err := s.Set(t.Context(), ns, "n", i); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		q    Query
		n    int
		want error
	}{
		"one":               {Query{Namespace: "app"}, 3, nil},
		"one and below":     {Query{Namespace: "app", Below: true}, 6, nil},
		"all":               {Query{}, 9, nil},
		"at most one":       {Query{Limit: 1}, 1, nil},
		"at most all":       {Query{Limit: 9}, 9, nil},
		"fewer than none":   {Query{Limit: -1}, 0, ErrInvalid},
		"of no namespace":   {Query{Namespace: "a//b"}, 0, ErrInvalid},
		"without an answer": {Query{Author: "nobody"}, 0, nil},
	} {
		n, calls := 0, 0
		var last error
		for _, err := range s.History(t.Context(), c.q) {
			calls++
			if last = err; err == nil {
				n++
			}
		}
		if n != c.n || !errors.Is(last, c.want) || c.want != nil && calls != 1 {
			t.Errorf("%s: %d versions, %v; want %d, %v", name, n, last, c.n, c.want)
		}
	}
	for _, q := range []Query{{Namespace: "app"}, {}} {
		for range s.History(t.Context(), q) {
			break // and nothing is yielded after that
		}
	}
	d.names = ErrUnavailable
	for _, err := range s.History(t.Context(), Query{}) {
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("names that can't be read: %v", err)
		}
	}
	if got, err := s.Namespaces(t.Context()); got != nil || !errors.Is(err, ErrUnavailable) {
		t.Errorf("Namespaces: %v, %v", got, err)
	}
	s.Close()
	if got, err := s.Namespaces(t.Context()); got != nil || !errors.Is(err, ErrClosed) {
		t.Errorf("Namespaces after Close: %v, %v", got, err)
	}
	told := 0
	for _, err := range s.History(t.Context(), Query{}) {
		if told++; !errors.Is(err, ErrClosed) {
			t.Errorf("history after Close: %v", err)
		}
	}
	if told != 1 {
		t.Errorf("history after Close: %d errors, want 1", told)
	}
	src := s.Source("app")
	if _, err := src.Read(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("a source after Close: %v", err)
	}
}

func TestSourcesThatCannotBe(t *testing.T) {
	d := &told{}
	s := d.open(t)
	for name, parts := range map[string][]string{"none": nil, "an empty part": {"app", ""}, "too long": {strings.Repeat("a", 201)}} {
		if err := s.Source(parts...).(*source).Open(t.Context()); !errors.Is(err, ErrInvalid) && !errors.Is(err, config.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	src := s.Source("app").(*source)
	if err := src.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c, err := src.Read(t.Context()); !errors.Is(err, config.ErrNotFound) {
		t.Errorf("nothing: %v, %v, want ErrNotFound", c, err)
	}
	d.newest = func(context.Context, Record, error) (Record, error) { return Record{}, ErrUnavailable }
	if c, err := src.Read(t.Context()); !errors.Is(err, config.ErrUnavailable) || len(c.Parts) > 0 {
		t.Errorf("a driver that fails: %v, %v, want ErrUnavailable", c, err)
	}
}

func TestLimitsOfWrites(t *testing.T) {
	s := (&told{}).open(t, WithTimeout(time.Minute)) // the largest takes a busy machine long
	for name, c := range map[string]struct {
		opt  WriteOption
		want error
	}{
		"an author of 200":   {Author(strings.Repeat("a", 200)), nil},
		"an author of 201":   {Author(strings.Repeat("a", 201)), ErrInvalid},
		"an author of bytes": {Author("\xff"), ErrInvalid},
		"a comment of 2000":  {Comment(strings.Repeat("a", 2000)), nil},
		"a comment of 2001":  {Comment(strings.Repeat("a", 2001)), ErrInvalid},
		"nil":                {nil, ErrInvalid},
	} {
		if _, err := s.Set(t.Context(), "app", "n", name, c.opt); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := s.Put(t.Context(), "app", func() {}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "json") {
		t.Errorf("what is no JSON: %v", err)
	}
	const around = len(`{"s":""}`)
	for n, want := range map[int]error{config.MaxSize - 1: nil, config.MaxSize: nil, config.MaxSize + 1: ErrTooLarge} {
		_, err := s.Put(t.Context(), "size", []byte(`{"s":"`+strings.Repeat("a", n-around)+`"}`))
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("a document of %d bytes: %v, want %v", n, err, want)
		}
	}
}

// What a failed Append did is looked up only where that is not known.
func TestWhatAFailedAppendMeans(t *testing.T) {
	plain := errors.New("broken")
	for name, c := range map[string]struct {
		append, read error
		others       bool // the version is there, by another writer
		opts         []WriteOption
		want         error // nil: written in the end
		reads        int
	}{
		"unavailable":                      {ErrUnavailable, nil, false, nil, ErrUnavailable, 0},
		"invalid":                          {ErrInvalid, nil, false, nil, ErrInvalid, 0},
		"too large":                        {ErrTooLarge, nil, false, nil, ErrTooLarge, 0},
		"a conflict":                       {ErrConflict, nil, true, nil, nil, 1},
		"a conflict, of a condition":       {ErrConflict, nil, true, []WriteOption{IfVersion(0)}, ErrConflict, 1},
		"a conflict that can't be seen":    {ErrConflict, ErrUnavailable, false, []WriteOption{IfVersion(0)}, ErrConflict, 1},
		"unknown, and another's is there":  {ErrUnknownOutcome, nil, true, nil, nil, 1},
		"unknown, and nothing is there":    {ErrUnknownOutcome, nil, false, nil, ErrUnknownOutcome, 1},
		"of no kind, and nothing is there": {plain, nil, false, nil, ErrUnknownOutcome, 1},
	} {
		d := &told{}
		s := d.open(t)
		d.append = func(r Record) error {
			d.append = nil
			if c.others {
				theirs := r
				theirs.ID, theirs.Author = "another", "another"
				if err := d.memory.Append(t.Context(), theirs); err != nil {
					t.Fatal(err)
				}
			}
			return c.append
		}
		d.read = func(r Record, err error) (Record, error) {
			if c.read != nil {
				return Record{}, c.read
			}
			return r, err
		}
		v, err := s.Set(t.Context(), "app", "n", 1, append(c.opts, Author("me"))...)
		if !errors.Is(err, c.want) || c.want == nil && (err != nil || v.Number != 2) || d.reads != c.reads {
			t.Errorf("%s: %v, %v after %d look-ups; want %v after %d", name, v, err, d.reads, c.want, c.reads)
		}
		if errors.Is(err, ErrUnknownOutcome) != (c.want == ErrUnknownOutcome) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d := &told{newest: func(context.Context, Record, error) (Record, error) { return Record{}, plain }}
	if _, err := d.open(t).Set(t.Context(), "app", "n", 1); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a read of no kind before the write: %v, want ErrUnavailable", err)
	}
}

// Writers of one namespace take turns, and nothing is kept of them.
func TestTurnsOfWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := (&told{}).open(t)
		at, most := 0, 0
		for i := range 5 {
			go s.Update(t.Context(), "app", func(doc []byte) ([]byte, error) {
				at++
				most = max(most, at)
				time.Sleep(time.Second)
				at--
				return fmt.Appendf(nil, `{"n":%d}`, i), nil
			})
		}
		given, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		synctest.Wait()
		if _, err := s.Set(given, "app", "n", 9); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who gives up: %v", err)
		}
		queues := func() int {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.writing)
		}
		if n := queues(); n != 1 {
			t.Errorf("%d queues while writers wait, want 1", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := queues(); most != 1 || n != 0 {
			t.Errorf("%d writers at once, %d queues left", most, n)
		}
		if d, err := s.Get(t.Context(), "app"); err != nil || d.Number != 5 {
			t.Errorf("version %d, %v, want 5", d.Number, err)
		}
	})
}

func TestMemoryObeysContexts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := newMemory()
	if err := m.Append(ctx, Record{Version: Version{Namespace: "app", Number: 1}}); !errors.Is(err, context.Canceled) || len(m.records) > 0 {
		t.Errorf("Append: %v, %d records", err, len(m.records))
	}
	if _, err := m.Namespaces(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Namespaces: %v", err)
	}
	if err := m.Watch(ctx, nil, func(error) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("Watch: %v", err)
	}
}

func TestDocumentsPrintWithoutSecrets(t *testing.T) {
	s := (&told{}).open(t, WithSecrets("password"))
	if _, err := s.Put(t.Context(), "app", []byte(`{"password":"hunter2","n":1}`)); err != nil {
		t.Fatal(err)
	}
	d, err := s.Get(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if got := fmt.Sprintf(verb, d); got != d.String() || strings.Contains(got, "hunter2") || !strings.Contains(got, "app 1") {
			t.Errorf("%s: %s", verb, got)
		}
	}
}
