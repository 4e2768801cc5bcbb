package consul_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	engine "github.com/micro/go-platform/engine/consul"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/consul"
	"github.com/micro/go-platform/kv/kvtest"
)

// TestIndexThatGoesBackwards: a Consul whose data was restored from a snapshot
// tells a smaller index, and a watch that waits for the old one would hear
// nothing.
func TestIndexThatGoesBackwards(t *testing.T) {
	var requests atomic.Int64
	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/status/leader" {
			fmt.Fprint(w, `"127.0.0.1:8300"`)
			return
		}
		index, value, modified := "100", "b2xk", 100 // old
		switch n := requests.Add(1); {
		case n == 2: // the index has gone back
			index, value, modified = "7", "bmV3", 7 // new
		case n > 2:
			index, value, modified = "7", "bmV3", 7
			if r.URL.Query().Get("index") == "7" {
				select {
				case <-r.Context().Done():
				case <-time.After(20 * time.Second):
				}
			}
		}
		w.Header().Set("X-Consul-Index", index)
		fmt.Fprintf(w, `[{"Key":"k","Value":"%s","ModifyIndex":%d,"Flags":0}]`, value, modified)
	}))
	defer fake.Close()
	store := opener(consul.Backend(strings.TrimPrefix(fake.URL, "http://")))(t, kv.WithLazy())
	defer store.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for e, err := range store.Watch(ctx, "") {
		if err != nil {
			t.Fatal(err)
		}
		if string(e.Item.Value) == "new" {
			return
		}
	}
}

// TestLivesEnd: Consul has no lives shorter than ten seconds, and what is over
// is removed from it: by the store that wrote it, or by one that meets it.
func TestLivesEnd(t *testing.T) {
	t.Parallel()
	server := servertest.SharedConsul(t)
	c := agent(t, server.Addr(), "")
	ttl := kv.TTL(200 * time.Millisecond)
	put := func(s kv.KV) error { return second(s.Put(t.Context(), "k", []byte("v"), ttl)) }
	cases := map[string]*struct {
		write func(s kv.KV) error
		meet  func(s kv.KV) error // nil: the writer stays
		ns    string
		store kv.KV
	}{
		"Put":             {write: put},
		"PutMany":         {write: func(s kv.KV) error { return s.PutMany(t.Context(), map[string][]byte{"k": []byte("v")}, ttl) }},
		"Put and Get":     {write: put, meet: func(s kv.KV) error { return second(s.Get(t.Context(), "k")) }},
		"Put and GetMany": {write: put, meet: func(s kv.KV) error { return second(s.GetMany(t.Context(), "k")) }},
		"Put and List": {write: put, meet: func(s kv.KV) error {
			for _, err := range s.List(t.Context(), "") {
				return err
			}
			return nil
		}},
	}
	deadline := time.Now().Add(40 * time.Second)
	there := func(ns string) bool {
		t.Helper()
		pair, _, err := c.KV().Get(ns+"/k", nil)
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("Consul has %+v, %v", pair, err)
		}
		return pair != nil
	}
	for name, by := range cases {
		by.ns = servertest.Namespace(t)
		by.store = opener(consul.Backend(server.Addr()))(t, kv.WithNamespace(by.ns))
		for seen := false; !seen; seen = there(by.ns) { // on a slow machine it may be gone already
			if err := by.write(by.store); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if by.meet != nil {
			by.store.Close()
			by.store = opener(consul.Backend(server.Addr()))(t, kv.WithNamespace(by.ns))
		}
		defer by.store.Close()
	}
	for name, by := range cases {
		for ; there(by.ns); <-time.After(50 * time.Millisecond) {
			if by.meet == nil {
				continue
			}
			if err := by.meet(by.store); err != nil && !errors.Is(err, kv.ErrNotFound) {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

// agent is Consul's own client.
func agent(t *testing.T, addr, token string) *api.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := api.NewClient(&api.Config{Address: addr, Token: token, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestLinearizable has the server killed under the writes and started again,
// which takes Consul two seconds.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	server := servertest.Consul(t)
	p := netfault.New(t, server.Addr())
	kvtest.Linearizable(t, func() kv.KV { return opener(consul.Backend(p.Addr()))(t) },
		kvtest.Chaos(3*time.Second), kvtest.Trouble(p.CutReplies, p.Reset, func() { server.Kill(); server.Restart() }))
}

// An idle watch waits for an answer. Where no key has its prefix Consul answers after any
// write to the store, those of other tests too: so there is one.
func TestIdleWatch(t *testing.T) {
	t.Parallel()
	p := netfault.New(t, servertest.SharedConsul(t).Addr())
	store := opener(consul.Backend(p.Addr()))(t, kv.WithNamespace(servertest.Namespace(t)))
	defer store.Close()
	if _, err := store.Put(t.Context(), "a", nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for e := range store.Watch(ctx, "") {
		if e.Kind == kv.EventSynced {
			before := p.Rest()
			<-time.After(time.Second)
			if n := p.Counts().Requests - before.Requests; n > 1 {
				t.Errorf("%d requests in an idle second", n)
			}
			cancel()
		}
	}
}

func TestBadInput(t *testing.T) {
	for _, addr := range []string{"", "redis://h", "h:0", "a b"} {
		if _, err := kv.New(consul.Backend(addr)); !errors.Is(err, kv.ErrInvalid) || !strings.Contains(err.Error(), "kv/consul: new") {
			t.Errorf("address %q: %v", addr, err)
		}
	}
	for name, backend := range map[string]kv.Option{"nil engine": consul.On(nil), "nil client": consul.On(engine.FromClient(nil))} {
		if _, err := kv.New(backend); !errors.Is(err, kv.ErrInvalid) || !strings.HasSuffix(err.Error(), name) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if _, err := kv.New(consul.Backend("127.0.0.1:1"), kv.WithDialTimeout(500*time.Millisecond)); !errors.Is(err, kv.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("no server: %v", err)
	}
}
