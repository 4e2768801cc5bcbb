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
)

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
		c, err := config.New(config.WithSource(reader.Source("shop", "prod", "orders"), config.Poll(time.Hour)))
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
			configtest.Eventually(t, 30*time.Second, what, func() bool { return string(c.Snapshot().Bytes()) == want })
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
	configtest.Eventually(t, 30*time.Second, "the source's health says so", func() bool { return errors.Is(c.Health().Err(), store.ErrClosed) })
	if c.Get("n").Int(0) != 1 {
		t.Errorf("n = %v after the store was closed", c.Get("n"))
	}
}

func away(t *testing.T, h Harness) {
	if h.Down == nil {
		t.Skip("the backend can't be made unavailable")
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
	// A driver has thirty seconds to notice that nobody answers any more.
	configtest.Eventually(t, 45*time.Second, "health says so", func() bool { return !c.Health().OK })
	if c.Get("n").Int(0) != 1 {
		t.Errorf("n = %v", c.Get("n"))
	}
	h.Up()
	configtest.Eventually(t, 45*time.Second, "a write works", func() bool {
		_, err := s.Put(ctx, "app", []byte(`{"n":3}`))
		return err == nil
	})
	configtest.Eventually(t, 45*time.Second, "it is live", func() bool { return c.Get("n").Int(0) == 3 && c.Health().OK })
}
