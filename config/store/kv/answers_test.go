package kv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"testing"

	"github.com/micro/go-platform/config/store"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
)

// planned is an embedded store that answers some calls otherwise.
type planned struct {
	kv.KV
	get, put, list map[string]error // by key or prefix
	late           map[string]int   // a key that is there from the nth Get on, and not before
	events         []error          // of Watch: nil for a sync
	features       kv.Features
}

func (p *planned) Features() kv.Features { return p.features }

func (p *planned) Get(ctx context.Context, key string, opts ...kv.GetOption) (kv.Item, error) {
	if p.late[key] > 0 {
		p.late[key]--
		return kv.Item{}, kv.ErrNotFound
	}
	if err := p.get[key]; err != nil {
		return kv.Item{}, err
	}
	return p.KV.Get(ctx, key, opts...)
}

func (p *planned) Put(ctx context.Context, key string, value []byte, opts ...kv.PutOption) (kv.Revision, error) {
	if err := p.put[key]; err != nil {
		return 0, err
	}
	return p.KV.Put(ctx, key, value, opts...)
}

func (p *planned) List(ctx context.Context, prefix string, opts ...kv.ListOption) iter.Seq2[kv.Item, error] {
	if err := p.list[prefix]; err != nil {
		return func(yield func(kv.Item, error) bool) {
			for yield(kv.Item{}, err) {
			}
		}
	}
	return p.KV.List(ctx, prefix, opts...)
}

func (p *planned) Watch(context.Context, string) iter.Seq2[kv.Event, error] {
	return func(yield func(kv.Event, error) bool) {
		for _, err := range p.events {
			e := kv.Event{Kind: kv.EventSynced}
			var of changeOf
			if errors.As(err, &of) {
				e, err = kv.Event{Kind: kv.EventPut, Item: kv.Item{Key: string(of)}}, nil
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// changeOf stands for a change of a key among events.
type changeOf string

func (c changeOf) Error() string { return string(c) }

// versions is a driver whose store has n versions of the document "app".
func versions(t *testing.T, n uint64) (*driver, *planned) {
	t.Helper()
	shared, err := kv.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shared.Close() })
	p := &planned{KV: shared, get: map[string]error{}, put: map[string]error{}, list: map[string]error{}, late: map[string]int{}}
	d := &driver{p}
	for i := range n {
		if err := d.Append(t.Context(), version(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	return d, p
}

func version(n uint64) store.Record {
	return store.Record{Version: store.Version{Namespace: "app", Number: n}, Data: json.RawMessage(fmt.Sprint(n))}
}

// damage makes a key hold what nobody wrote.
func damage(t *testing.T, p *planned, key string) {
	t.Helper()
	if _, err := p.KV.Put(t.Context(), key, []byte("{")); err != nil {
		t.Fatal(err)
	}
}

func TestWhatFailsBeforeAWriteCounts(t *testing.T) {
	past := pastKey("app", 2)
	for _, c := range []struct {
		what string
		plan func(p *planned)
		next uint64
		want error // nil: written
	}{
		{"nothing", func(*planned) {}, 3, nil},
		{"a number that is taken", func(*planned) {}, 2, store.ErrConflict},
		{"a number too far", func(*planned) {}, 4, store.ErrConflict},
		{"no answer to the read", func(p *planned) { p.get["head/app"] = kv.ErrUnavailable }, 3, store.ErrUnavailable},
		{"a read of which nothing is known", func(p *planned) { p.get["head/app"] = kv.ErrUnknownOutcome }, 3, store.ErrUnavailable},
		{"a damaged head", func(p *planned) { damage(t, p, "head/app") }, 3, store.ErrInvalid},
		{"no answer to the copy", func(p *planned) { p.put[past] = kv.ErrUnavailable }, 3, store.ErrUnavailable},
		{"a copy of which nothing is known", func(p *planned) { p.put[past] = kv.ErrUnknownOutcome }, 3, store.ErrUnavailable},
		{"a copy that is refused", func(p *planned) { p.put[past] = kv.ErrTooLarge }, 3, kv.ErrTooLarge},
		{"a copy that is there already", func(p *planned) { p.put[past] = kv.ErrExists }, 3, nil},
		{"another who was faster", func(p *planned) { p.put["head/app"] = kv.ErrConflict }, 3, store.ErrConflict},
		{"another who was first", func(p *planned) { p.put["head/app"] = kv.ErrExists }, 3, store.ErrConflict},
		{"no answer to the write", func(p *planned) { p.put["head/app"] = kv.ErrUnknownOutcome }, 3, kv.ErrUnknownOutcome},
	} {
		d, p := versions(t, 2)
		c.plan(p)
		err := d.Append(t.Context(), version(c.next))
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || c.want == store.ErrUnavailable && fault.KindOf(err) != fault.Unavailable ||
			c.want == kv.ErrTooLarge && errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
		p.get, p.put = nil, nil
		r, err := d.Newest(t.Context(), "app")
		if c.want != store.ErrInvalid && (err != nil || (r.Number == 3) != (c.want == nil)) {
			t.Errorf("%s: the newest is %+v, %v", c.what, r, err)
		}
	}
	d, _ := versions(t, 0)
	if err := d.Append(t.Context(), store.Record{Version: version(1).Version, Data: json.RawMessage("{")}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a document that is no JSON: %v, want ErrInvalid", err)
	}
}

func TestReadsOfAVersion(t *testing.T) {
	for _, c := range []struct {
		what   string
		plan   func(p *planned)
		number uint64
		want   string // the data
		err    error
	}{
		{"the newest", func(*planned) {}, 2, "2", nil},
		{"an older one", func(*planned) {}, 1, "1", nil},
		{"one that is to come", func(*planned) {}, 3, "", store.ErrNotFound},
		{"one that became old meanwhile", func(p *planned) { p.late[pastKey("app", 1)] = 1 }, 1, "1", nil},
		{"one that is gone", func(p *planned) { p.late[pastKey("app", 1)] = 2 }, 1, "", kv.ErrNotFound},
		{"no answer", func(p *planned) { p.get[pastKey("app", 1)] = kv.ErrUnavailable }, 1, "", kv.ErrUnavailable},
		{"no answer about a copy of the newest", func(p *planned) { p.get[pastKey("app", 2)] = kv.ErrUnavailable }, 2, "", kv.ErrUnavailable},
		{"no answer about the newest", func(p *planned) { p.get["head/app"] = kv.ErrUnavailable }, 2, "", kv.ErrUnavailable},
		{"a damaged one", func(p *planned) { damage(t, p, pastKey("app", 1)) }, 1, "", store.ErrInvalid},
		{"a damaged newest", func(p *planned) { damage(t, p, "head/app") }, 2, "", store.ErrInvalid},
	} {
		d, p := versions(t, 2)
		c.plan(p)
		r, err := d.Read(t.Context(), "app", c.number)
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || err == nil && string(r.Data) != c.want {
			t.Errorf("%s: %s, %v, want %s, %v", c.what, r.Data, err, c.want, c.err)
		}
	}
}

func TestHistoriesOfADocument(t *testing.T) {
	for _, c := range []struct {
		what string
		n    uint64
		plan func(p *planned)
		take int
		want []uint64
		err  error
	}{
		{"none", 0, func(*planned) {}, 9, nil, nil},
		{"one", 1, func(*planned) {}, 9, []uint64{1}, nil},
		{"three", 3, func(*planned) {}, 9, []uint64{3, 2, 1}, nil},
		{"the newest of three", 3, func(*planned) {}, 1, []uint64{3}, nil},
		{"two of three", 3, func(*planned) {}, 2, []uint64{3, 2}, nil},
		{"three, and a copy of the newest", 3, func(p *planned) {
			head, err := p.KV.Get(t.Context(), "head/app")
			if err == nil {
				_, err = p.KV.Put(t.Context(), pastKey("app", 3), head.Value)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, 9, []uint64{3, 2, 1}, nil},
		{"no answer about the newest", 3, func(p *planned) { p.get["head/app"] = kv.ErrUnavailable }, 9, nil, kv.ErrUnavailable},
		{"no answer about the others", 3, func(p *planned) { p.list[pastPrefix("app")] = kv.ErrUnavailable }, 9, nil, kv.ErrUnavailable},
		{"a damaged one", 3, func(p *planned) { damage(t, p, pastKey("app", 1)) }, 9, nil, store.ErrInvalid},
	} {
		d, p := versions(t, c.n)
		c.plan(p)
		var got []uint64
		var failed error
		for r, err := range d.History(t.Context(), "app") {
			if err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			got = append(got, r.Number)
			if r.Number < c.n && r.Data != nil {
				t.Errorf("%s: version %d has its data", c.what, r.Number)
			}
			if len(got) == c.take {
				break
			}
		}
		if !reflect.DeepEqual(got, c.want) || !errors.Is(failed, c.err) || (failed == nil) != (c.err == nil) {
			t.Errorf("%s: %v, %v, want %v, %v", c.what, got, failed, c.want, c.err)
		}
	}
}

func TestNamespacesOfTheHeads(t *testing.T) {
	d, p := versions(t, 2)
	odd := version(1)
	odd.Namespace = "a/b %"
	if err := d.Append(t.Context(), odd); err != nil {
		t.Fatal(err)
	}
	names, err := d.Namespaces(t.Context())
	if want := []string{"a/b %", "app"}; err != nil || !reflect.DeepEqual(names, want) {
		t.Errorf("got %q, %v, want %q", names, err, want)
	}
	damage(t, p, "head/%zz")
	if names, err := d.Namespaces(t.Context()); !errors.Is(err, store.ErrInvalid) || names != nil {
		t.Errorf("with a name that is none: %q, %v, want ErrInvalid", names, err)
	}
	p.list["head/"] = kv.ErrUnavailable
	if names, err := d.Namespaces(t.Context()); !errors.Is(err, kv.ErrUnavailable) || names != nil {
		t.Errorf("without an answer: %q, %v, want ErrUnavailable", names, err)
	}
}

// Which events of the kv store are changes of the documents that are watched.
func TestEventsOfAWatch(t *testing.T) {
	sync := error(nil)
	app, eu, other := changeOf("head/app"), changeOf("head/app.eu"), changeOf("head/apple")
	for _, c := range []struct {
		what   string
		events []error
		want   string
		err    error
	}{
		{"the state, then changes", []error{app, eu, sync, app, eu}, "changed changed changed", nil},
		{"others' changes", []error{sync, other, other}, "changed", nil},
		{"an error, and the state again", []error{sync, kv.ErrUnavailable, app, eu, sync, app}, "changed failed changed changed", nil},
		{"the end of the kv store", []error{sync, kv.ErrClosed, sync}, "changed", kv.ErrClosed},
	} {
		d, p := versions(t, 0)
		p.events = c.events
		var got []string
		err := d.Watch(t.Context(), []string{"app", "app.eu"}, func(err error) {
			got = append(got, map[bool]string{true: "changed", false: "failed"}[err == nil])
		})
		if strings.Join(got, " ") != c.want || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %v, %v, want %s, %v", c.what, got, err, c.want, c.err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, events := range [][]error{{sync}, {kv.ErrUnavailable, sync}} {
		d, p := versions(t, 0)
		p.events = events
		failed := 0
		err := d.Watch(ctx, []string{"app"}, func(err error) {
			if err != nil {
				failed++
			}
		})
		if err == nil || failed > 0 {
			t.Errorf("%v after the end of the context: %v, %d failures", events, err, failed)
		}
	}
}

func TestWhatAPingSays(t *testing.T) {
	for _, want := range []error{nil, kv.ErrUnavailable, kv.ErrDenied} {
		d, p := versions(t, 1)
		p.get["head/"] = want
		if err := d.Ping(t.Context()); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

func TestAStoreHasToListAndWatch(t *testing.T) {
	shared, err := kv.New()
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	for _, f := range []kv.Features{{}, {List: true}, {Watch: true}, {List: true, Watch: true}} {
		s, err := store.New(Backend(&planned{KV: shared, features: f}), store.WithLazy())
		if err == nil {
			s.Close()
		}
		if well := f.List && f.Watch; well != (err == nil) || !well && (!errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "can't list or watch")) {
			t.Errorf("%+v: %v", f, err)
		}
	}
}
