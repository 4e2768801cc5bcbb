// Package storetest is the conformance suite of config/store's backends.
package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/configtest"
	"github.com/micro/go-platform/config/store"
	"github.com/micro/go-platform/internal/leak"
)

// Harness is an empty place for documents.
type Harness struct {
	// Open returns a store on the place; each call stands for another process.
	Open func(t *testing.T, opts ...store.Option) store.Store
	// Alone says that a place belongs to one store: nobody else can open it.
	Alone bool
	// Down takes the backend away and Up brings it back; nil if it can't be away.
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
		{"a backend that is away", away},
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
	must[store.Version](t)(s.Rollback(ctx, "app", 3)) // to the deletion
	_, err = s.Get(ctx, "app")
	want(t, "Get after a rollback to a deletion", err, store.ErrNotFound)
}

func history(t *testing.T, h Harness) {
	s, ctx := open(t, h), t.Context()
	put := func(ns, path, author string) store.Version {
		v := must[store.Version](t)(s.Set(ctx, ns, path, 1, store.Author(author)))
		for !time.Now().After(v.Time.Add(time.Millisecond)) { // times differ
			time.Sleep(100 * time.Microsecond)
		}
		return v
	}
	put("shop", "a.x", "ann")
	second := put("shop/prod", "a", "bob")
	put("shop", "b", "bob")
	fourth := put("shop/prod/orders", "c", "ann")
	put("shoppe", "a", "ann")
	list := func(q store.Query) string {
		var out []string
		for v, err := range s.History(ctx, q) {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, fmt.Sprintf("%s@%d", v.Namespace, v.Number))
		}
		return strings.Join(out, " ")
	}
	for _, c := range []struct {
		name string
		q    store.Query
		want string
	}{
		{"all", store.Query{}, "shoppe@1 shop/prod/orders@1 shop@2 shop/prod@1 shop@1"},
		{"one", store.Query{Namespace: "shop"}, "shop@2 shop@1"},
		{"below", store.Query{Namespace: "shop", Below: true}, "shop/prod/orders@1 shop@2 shop/prod@1 shop@1"},
		{"none", store.Query{Namespace: "nothing"}, ""},
		{"author", store.Query{Author: "bob"}, "shop@2 shop/prod@1"},
		{"path", store.Query{Namespace: "shop", Below: true, Path: "a"}, "shop/prod@1 shop@1"},
		{"path below", store.Query{Path: "a.x.y"}, "shoppe@1 shop/prod@1 shop@1"},
		{"since", store.Query{Since: fourth.Time}, "shoppe@1 shop/prod/orders@1"},
		{"until", store.Query{Until: fourth.Time}, "shop@2 shop/prod@1 shop@1"},
		{"between", store.Query{Since: second.Time, Until: fourth.Time}, "shop@2 shop/prod@1"},
		{"limit", store.Query{Limit: 2}, "shoppe@1 shop/prod/orders@1"},
	} {
		if got := list(c.q); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	for _, err := range s.History(ctx, store.Query{Limit: -1}) {
		want(t, "negative limit", err, store.ErrInvalid)
	}
}

func namespaces(t *testing.T, h Harness) {
	s, ctx := open(t, h), t.Context()
	for i, ns := range []string{"a", "a/b", "a/bc", "ab", "A"} {
		must[store.Version](t)(s.Put(ctx, ns, map[string]int{"n": i}))
	}
	if names, err := s.Namespaces(ctx); err != nil || fmt.Sprint(names) != "[A a a/b a/bc ab]" {
		t.Errorf("Namespaces: %v, %v", names, err)
	}
	if got := content(t, s, "a"); got != `{"n":0}` {
		t.Errorf("a: %s", got)
	}
	n := 0
	for range s.History(ctx, store.Query{Namespace: "a"}) {
		n++
	}
	if n != 1 {
		t.Errorf("history of a has %d versions", n)
	}
}

func arguments(t *testing.T, h Harness) {
	deny := store.WithValidator(func(_ context.Context, ns string, next *config.Snapshot) error {
		if ns == "app" && next.Get("bad").Bool(false) {
			return errors.New("bad is true")
		}
		return nil
	})
	s, ctx := open(t, h, deny), t.Context()
	for _, ns := range []string{"", "/", "a/", "/a", "a//b", "a/../b", "a\nb", strings.Repeat("x", 201)} {
		_, err := s.Put(ctx, ns, []byte(`{}`))
		want(t, fmt.Sprintf("Put to %.20q", ns), err, store.ErrInvalid)
		_, err = s.Get(ctx, ns)
		want(t, fmt.Sprintf("Get of %.20q", ns), err, store.ErrInvalid)
	}
	for name, doc := range map[string]any{
		"array": []byte(`[1]`), "nothing": []byte(``), "no JSON": []byte(`{`), "number": 1, "channel": make(chan int), "duplicate": []byte(`{"a":1,"a":2}`), "nil": nil,
	} {
		_, err := s.Put(ctx, "app", doc)
		want(t, "Put of "+name, err, store.ErrInvalid)
	}
	_, err := s.Put(ctx, "app", map[string]string{"x": strings.Repeat("x", 10<<20)})
	want(t, "Put of 10 MB", err, store.ErrTooLarge)
	_, err = s.Put(ctx, "app", []byte(`{"bad":true}`))
	want(t, "refused by the validator", err, store.ErrDenied)
	_, err = s.Put(ctx, "app", []byte(`{}`), nil)
	want(t, "nil option", err, store.ErrInvalid)
	_, err = s.Put(ctx, "app", []byte(`{}`), store.Author(strings.Repeat("x", 201)))
	want(t, "long author", err, store.ErrInvalid)
	_, err = s.Update(ctx, "app", nil)
	want(t, "nil function", err, store.ErrInvalid)
	_, err = s.At(ctx, "app", 0)
	want(t, "version 0", err, store.ErrInvalid)
	_, err = s.Get(ctx, "app")
	want(t, "Get after all that", err, store.ErrNotFound)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Put(ended, "app", []byte(`{}`)); err == nil {
		t.Error("Put with a cancelled context succeeded")
	}
}

func odd(t *testing.T, h Harness) {
	s, ctx := open(t, h), t.Context()
	for _, ns := range []string{"ключ/値", "a b", "per%cent/q?x#y", "dot.ted", "UPPER", `quote'"`, strings.Repeat("x", 200)} {
		doc := fmt.Sprintf(`{"big":9007199254740993,"empty":"","name":%s,"null":null,"text":"\u0001 é \" \\"}`, must[[]byte](t)(json.Marshal(ns)))
		v := must[store.Version](t)(s.Put(ctx, ns, []byte(doc), store.Author(`o'br"ien`), store.Comment("line\nbreak é %s ?")))
		d := must[store.Document](t)(s.Get(ctx, ns))
		wantDoc := must[*config.Snapshot](t)(config.ParseSnapshot(nil, []byte(doc))).Bytes()
		if d.Version != v || string(d.Bytes()) != string(wantDoc) || d.Get("name").String("") != ns {
			t.Errorf("%q: got %+v %s, want %+v %s", ns, d.Version, d.Bytes(), v, wantDoc)
		}
	}
	if names, err := s.Namespaces(ctx); err != nil || len(names) != 7 {
		t.Errorf("Namespaces: %q, %v", names, err)
	}
	large := must[[]byte](t)(json.Marshal(map[string]string{"x": strings.Repeat("x", 100_000)}))
	must[store.Version](t)(s.Put(ctx, "large", large))
	if got := content(t, s, "large"); got != string(large) {
		t.Errorf("large document: got %d bytes, want %d", len(got), len(large))
	}
}

func secrets(t *testing.T, h Harness) {
	s, ctx := open(t, h, store.WithSecrets("db.dsn")), t.Context()
	must[store.Version](t)(s.Put(ctx, "app", []byte(`{"db":{"dsn":"hunter2","password":"hunter2","host":"h"}}`)))
	must[store.Version](t)(s.Set(ctx, "app", "db.password", "hunter2b"))
	d := must[store.Document](t)(s.Get(ctx, "app"))
	changes := must[[]config.Change](t)(s.Diff(ctx, "app", 1, 2))
	j := must[[]byte](t)(json.Marshal(d))
	for what, out := range map[string]string{"String": d.String(), "%+v": fmt.Sprintf("%+v", d), "JSON": string(j), "Diff": fmt.Sprint(changes), "log": d.LogValue().String()} {
		if strings.Contains(out, "hunter2") {
			t.Errorf("%s shows a secret: %s", what, out)
		}
	}
	if len(changes) != 1 || changes[0].Path != "db.password" {
		t.Errorf("Diff: %v", changes)
	}
	if d.Get("db.password").String("") != "hunter2b" || !strings.Contains(string(j), `"host":"h"`) {
		t.Errorf("the program gets %v, JSON is %s", d.Get("db.password").String(""), j)
	}
}

func live(t *testing.T, h Harness) {
	writer, ctx := open(t, h), t.Context()
	must[store.Version](t)(writer.Put(ctx, "shop", []byte(`{"a":1,"b":1,"gone":1}`)))
	must[store.Version](t)(writer.Put(ctx, "shop/prod", []byte(`{"b":2,"gone":null}`)))
	must[store.Version](t)(writer.Put(ctx, "shop/dev", []byte(`{"b":9}`)))
	readers := make([]config.Config, 3)
	for i := range readers {
		reader := writer
		if !h.Alone {
			reader = open(t, h)
		}
		c, err := config.New(config.WithSource(reader.Source("shop", "prod", "orders")), config.WithPoll(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		readers[i] = c
		if got := string(c.Snapshot().Bytes()); got != `{"a":1,"b":2}` {
			t.Errorf("got %s", got)
		}
	}
	everywhere := func(what, want string) {
		t.Helper()
		start := time.Now()
		for _, c := range readers {
			configtest.Eventually(t, time.Second, what, func() bool { return string(c.Snapshot().Bytes()) == want })
		}
		t.Logf("%s: everywhere after %v", what, time.Since(start))
	}
	must[store.Version](t)(writer.Set(ctx, "shop/prod/orders", "b", 3))
	everywhere("a document that appears", `{"a":1,"b":3}`)
	must[store.Version](t)(writer.Set(ctx, "shop", "a", 10))
	everywhere("a change of the base", `{"a":10,"b":3}`)
	must[store.Version](t)(writer.Delete(ctx, "shop/prod/orders"))
	everywhere("a document that goes", `{"a":10,"b":2}`)
	must[store.Version](t)(writer.Rollback(ctx, "shop", 1))
	everywhere("a rollback", `{"a":1,"b":2}`)
	if o, _ := readers[0].Snapshot().Origin("b"); o.Part != "shop/prod@1" {
		t.Errorf("Origin of b: %+v", o)
	}
}

func conforms(t *testing.T, h Harness) {
	n := 0
	configtest.Run(t, func(t *testing.T) configtest.Harness {
		writer := open(t, h.again(t))
		n++
		ns := fmt.Sprintf("doc%d", n)
		return configtest.Harness{
			Source: func() config.Source { return writer.Source(ns) },
			Set: func(doc string) {
				if _, err := writer.Put(t.Context(), ns, []byte(doc)); err != nil {
					t.Fatal(err)
				}
			},
			Delete:  func() { must[store.Version](t)(writer.Delete(t.Context(), ns)) },
			Lenient: true,
		}
	})
}

func closing(t *testing.T, h Harness) {
	s, ctx := open(t, h), t.Context()
	must[store.Version](t)(s.Put(ctx, "app", []byte(`{"n":1}`)))
	c, err := config.New(config.WithSource(s.Source("app")))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() { s.Close() })
	}
	wg.Wait()
	_, err = s.Get(ctx, "app")
	want(t, "Get", err, store.ErrClosed)
	_, err = s.Put(ctx, "app", []byte(`{}`))
	want(t, "Put", err, store.ErrClosed)
	for _, err := range s.History(ctx, store.Query{}) {
		want(t, "History", err, store.ErrClosed)
	}
	configtest.Eventually(t, 5*time.Second, "the source's health says so", func() bool { return errors.Is(c.Health().Err(), store.ErrClosed) })
	if c.Get("n").Int(0) != 1 {
		t.Errorf("n = %v after the store was closed", c.Get("n"))
	}
}

func away(t *testing.T, h Harness) {
	if h.Down == nil {
		t.Skip("the backend can't be away")
	}
	s, ctx := open(t, h, store.WithTimeout(5*time.Second)), t.Context()
	must[store.Version](t)(s.Put(ctx, "app", []byte(`{"n":1}`)))
	c, err := config.New(config.WithSource(s.Source("app")))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	h.Down()
	_, err = s.Put(ctx, "app", []byte(`{"n":2}`))
	want(t, "Put with the backend away", err, store.ErrUnavailable)
	configtest.Eventually(t, 20*time.Second, "health says so", func() bool { return !c.Health().OK })
	if c.Get("n").Int(0) != 1 {
		t.Errorf("n = %v", c.Get("n"))
	}
	h.Up()
	configtest.Eventually(t, 20*time.Second, "a write works", func() bool {
		_, err := s.Put(ctx, "app", []byte(`{"n":3}`))
		return err == nil
	})
	configtest.Eventually(t, 20*time.Second, "it is live", func() bool { return c.Get("n").Int(0) == 3 && c.Health().OK })
}
