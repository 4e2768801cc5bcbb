// Package storetest is the conformance suite of config/store's backends.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/store"
	"github.com/micro/go-platform/internal/leak"
)

// Harness is an empty place for documents.
type Harness struct {
	// Open returns a store on the place; each call stands for another process.
	Open func(t *testing.T, opts ...store.Option) store.Store
	// Alone says that a place belongs to one store: nobody else can open it.
	Alone bool
	// Down makes the backend unavailable and Up brings it back; nil if that can't be done.
	Down, Up func()

	again func(t *testing.T) Harness // another one, which ends with t
}

// Run tests the backend that harness describes, which is called for each case.
func Run(t *testing.T, harness func(t *testing.T) Harness) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"versions count, tell who and why, and never change", versions},
		{"edits by path", edits},
		{"conditions", conditions},
		{"50 concurrent writers lose no update", writers},
		{"deletion is a version, and the document can come back", deletion},
		{"rollback is a new version equal to the old one", rollback},
		{"history answers who did what, where and when", history},
		{"namespaces don't see each other", namespaces},
		{"bad arguments", arguments},
		{"odd names and content", odd},
		{"secrets are redacted", secrets},
		{"an edit is live in every process within a second", live},
		{"the source conforms", conforms},
		{"Close", closing},
		{"a backend that is unavailable", away},
	} {
		t.Run(c.name, func(t *testing.T) {
			leak.Check(t)
			h := harness(t)
			h.again = harness
			c.run(t, h)
		})
	}
}

func open(t *testing.T, h Harness, opts ...store.Option) store.Store {
	t.Helper()
	s := h.Open(t, opts...)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func content(t *testing.T, s store.Store, ns string) string {
	t.Helper()
	return string(must[store.Document](t)(s.Get(t.Context(), ns)).Bytes())
}

func want(t *testing.T, what string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: got %v, want %v", what, err, kind)
	}
}

func versions(t *testing.T, h Harness) {
	s, ctx := open(t, h), t.Context()
	_, err := s.Get(ctx, "shop/prod")
	want(t, "Get of nothing", err, store.ErrNotFound)
	before := time.Now().Add(-time.Second)
	v := must[store.Version](t)(s.Put(ctx, "shop/prod", map[string]any{"port": 80, "b": 1}, store.Author("ann"), store.Comment(`first "one"`)))
	if v.Number != 1 || v.Author != "ann" || v.Comment != `first "one"` || v.Action != store.ActionPut || v.Time.Before(before) || v.Time.After(time.Now().Add(time.Second)) || v.Checksum == "" || v.ID == "" {
		t.Errorf("version %+v", v)
	}
	two := must[store.Version](t)(s.Put(ctx, "shop/prod", []byte(`{"b": 2,"port":81}`), store.Author("bob")))
	if two.Number != 2 || two.Checksum == v.Checksum {
		t.Errorf("second version %+v", two)
	}
	d := must[store.Document](t)(s.Get(ctx, "shop/prod"))
	if d.Version != two || string(d.Bytes()) != `{"b":2,"port":81}` || d.Get("port").Int(0) != 81 {
		t.Errorf("newest: %+v %s", d.Version, d.Bytes())
	}
	old := must[store.Document](t)(s.At(ctx, "shop/prod", 1))
	if old.Version != v || string(old.Bytes()) != `{"b":1,"port":80}` {
		t.Errorf("version 1: got %+v %s, want %+v", old.Version, old.Bytes(), v)
	}
	_, err = s.At(ctx, "shop/prod", 3)
	want(t, "At of no version", err, store.ErrNotFound)
	_, err = s.At(ctx, "nothing", 1)
	want(t, "At of nothing", err, store.ErrNotFound)
	changes, err := s.Diff(ctx, "shop/prod", 1, 0)
	if err != nil || fmt.Sprint(changes) != "[b: 1 → 2 port: 80 → 81]" {
		t.Errorf("Diff: %v, %v", changes, err)
	}
}

func edits(t *testing.T, h Harness) {
	s, ctx := open(t, h), t.Context()
	v := must[store.Version](t)(s.Set(ctx, "app", "server.addr", ":80"))
	if v.Action != store.ActionSet || v.Path != "server.addr" {
		t.Errorf("version %+v", v)
	}
	must[store.Version](t)(s.Set(ctx, "app", config.Path("hosts", "a.b"), []int{1, 2}))
	must[store.Version](t)(s.Patch(ctx, "app", []byte(`{"server":{"addr":":81","tls":true},"x":{"y":1}}`)))
	must[store.Version](t)(s.Unset(ctx, "app", "x.y"))
	must[store.Version](t)(s.Update(ctx, "app", func(doc []byte) ([]byte, error) { return config.SetPath(doc, "n", 7) }))
	if got, want := content(t, s, "app"), `{"hosts":{"a.b":[1,2]},"n":7,"server":{"addr":":81","tls":true},"x":{}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	same := must[store.Version](t)(s.Unset(ctx, "app", "none"))
	if same.Number != 5 {
		t.Errorf("Unset of nothing made version %d", same.Number)
	}
	_, err := s.Set(ctx, "app", "n.deeper", 1)
	want(t, "Set below a number", err, store.ErrInvalid)
	_, err = s.Update(ctx, "app", func([]byte) ([]byte, error) { return nil, errors.New("no") })
	if err == nil || !strings.Contains(err.Error(), "no") {
		t.Errorf("Update with an error: %v", err)
	}
	if got := must[store.Document](t)(s.Get(ctx, "app")).Number; got != 5 {
		t.Errorf("failed edits made version %d", got)
	}
}

func conditions(t *testing.T, h Harness) {
	s, ctx := open(t, h), t.Context()
	must[store.Version](t)(s.Put(ctx, "app", []byte(`{"n":1}`), store.IfVersion(0)))
	_, err := s.Put(ctx, "app", []byte(`{"n":2}`), store.IfVersion(0))
	want(t, "create twice", err, store.ErrConflict)
	must[store.Version](t)(s.Set(ctx, "app", "n", 2, store.IfVersion(1)))
	_, err = s.Set(ctx, "app", "n", 3, store.IfVersion(1))
	want(t, "stale version", err, store.ErrConflict)
	_, err = s.Delete(ctx, "app", store.IfVersion(1))
	want(t, "stale delete", err, store.ErrConflict)
	if got := content(t, s, "app"); got != `{"n":2}` {
		t.Errorf("got %s", got)
	}
	var wins int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			if _, err := s.Set(ctx, "app", "winner", i, store.IfVersion(2)); err == nil {
				mu.Lock()
				wins++
				mu.Unlock()
			} else {
				want(t, "loser", err, store.ErrConflict)
			}
		})
	}
	wg.Wait()
	if wins != 1 {
		t.Errorf("%d writers of one version won", wins)
	}
}

func writers(t *testing.T, h Harness) {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	stores := []store.Store{open(t, h)}
	if !h.Alone {
		stores = append(stores, open(t, h), open(t, h))
	}
	var wg sync.WaitGroup
	const n = 50
	for i := range n {
		s := stores[i%len(stores)]
		wg.Go(func() {
			if _, err := s.Set(ctx, "app", fmt.Sprintf("writers.w%02d", i), i, store.Author(fmt.Sprint(i))); err != nil {
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	d := must[store.Document](t)(stores[0].Get(ctx, "app"))
	if got := d.Get("writers").Len(); got != n || d.Number != n {
		t.Errorf("%d updates are there after version %d, want %d", got, d.Number, n)
	}
	authors := map[string]bool{}
	next := uint64(n)
	for v, err := range stores[len(stores)-1].History(ctx, store.Query{Namespace: "app"}) {
		if err != nil || v.Number != next {
			t.Fatalf("history has %v, %v where %d is due", v, err, next)
		}
		next--
		authors[v.Author] = true
	}
	if next != 0 || len(authors) != n {
		t.Errorf("history ends above %d with %d authors", next, len(authors))
	}
}

func deletion(t *testing.T, h Harness) {
	s, ctx := open(t, h), t.Context()
	_, err := s.Delete(ctx, "app")
	want(t, "Delete of nothing", err, store.ErrNotFound)
	must[store.Version](t)(s.Put(ctx, "app", []byte(`{"n":1}`)))
	v := must[store.Version](t)(s.Delete(ctx, "app", store.Author("ann")))
	if v.Number != 2 || !v.Deleted || v.Action != store.ActionDelete || v.Author != "ann" {
		t.Errorf("version %+v", v)
	}
	_, err = s.Get(ctx, "app")
	want(t, "Get after Delete", err, store.ErrNotFound)
	_, err = s.Delete(ctx, "app")
	want(t, "Delete twice", err, store.ErrNotFound)
	if names, err := s.Namespaces(ctx); err != nil || len(names) != 0 {
		t.Errorf("Namespaces: %v, %v", names, err)
	}
	if old := must[store.Document](t)(s.At(ctx, "app", 1)); string(old.Bytes()) != `{"n":1}` {
		t.Errorf("version 1: %s", old.Bytes())
	}
	changes, err := s.Diff(ctx, "app", 1, 2)
	if err != nil || len(changes) != 1 || changes[0].New.Exists() {
		t.Errorf("Diff: %v, %v", changes, err)
	}
	v = must[store.Version](t)(s.Set(ctx, "app", "m", 1))
	if v.Number != 3 || content(t, s, "app") != `{"m":1}` {
		t.Errorf("after the return: %+v %s", v, content(t, s, "app"))
	}
}

func rollback(t *testing.T, h Harness) {
	s, ctx := open(t, h), t.Context()
	first := must[store.Version](t)(s.Put(ctx, "app", []byte(`{"a":1,"b":[1]}`)))
	must[store.Version](t)(s.Put(ctx, "app", []byte(`{"a":2}`)))
	must[store.Version](t)(s.Delete(ctx, "app"))
	v := must[store.Version](t)(s.Rollback(ctx, "app", 1, store.Author("ann"), store.Comment("oops")))
	if v.Number != 4 || v.Of != 1 || v.Action != store.ActionRollback || v.Checksum != first.Checksum || v.Comment != "oops" {
		t.Errorf("version %+v", v)
	}
	if got := content(t, s, "app"); got != `{"a":1,"b":[1]}` {
		t.Errorf("got %s", got)
	}
	_, err := s.Rollback(ctx, "app", 9)
	want(t, "Rollback to nothing", err, store.ErrNotFound)
	_, err = s.Rollback(ctx, "app", 0)
	want(t, "Rollback to version 0", err, store.ErrInvalid)
	must[store.Version](t)(s.Rollback(ctx, "app", 3)) // to the deletion
	_, err = s.Get(ctx, "app")
	want(t, "Get after a rollback to a deletion", err, store.ErrNotFound)
}
