package ring

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
)

// registry is a process's own: the test tells every process who is there, and
// so can cut the ways between any two.
type registry struct {
	discovery.Discovery
	in map[string]discovery.Registration
}

func newRegistry() (*registry, error) {
	d, err := discovery.New()
	return &registry{d, map[string]discovery.Registration{}}, err
}

func (r *registry) enter(ctx context.Context, id, address string) (err error) {
	if r.in[id] == nil {
		r.in[id], err = r.Register(ctx, discovery.Instance{Service: "cells", ID: id, Address: address})
	}
	return err
}

// state is what a process tells of its node.
type state struct {
	Epoch   uint64
	Missing int
	Left    bool
	LeftOut int64             // how often a registered peer was found out of reach
	Held    map[string]uint64 // versions of the items, not of tombstones
	Bytes   int64             // counted against the bound
	Heap    uint64            // live, after a collection; if asked for
	RSS     int64             // 0: not known
}

// instance is the role of a process of a service: arguments ID, detection,
// interval, bound in bytes, limit of the process's memory above what it has
// when empty (0: none).
func instance(args []string) error {
	ctx := context.Background()
	id := args[0]
	detection, err1 := time.ParseDuration(args[1])
	interval, err2 := time.ParseDuration(args[2])
	bound, err3 := strconv.ParseInt(args[3], 10, 64)
	limit, err4 := strconv.ParseInt(args[4], 10, 64)
	r, err5 := newRegistry()
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	defer r.Close()
	leftOut := &leftOutCounter{Handler: slog.DiscardHandler}
	node, err := New(r, "cells", id, WithKey(testKey), WithDetection(detection), WithInterval(interval), WithMaxBytes(bound), WithLogger(slog.New(leftOut)))
	if err != nil {
		return err
	}
	defer node.Close()
	store, err := kv.New(Backend(node), kv.WithLazy())
	if err != nil {
		return err
	}
	defer store.Close()
	mux := http.NewServeMux()
	mux.Handle("/.ring", node)
	mux.HandleFunc("/items", func(w http.ResponseWriter, req *http.Request) { items(w, req, store) })
	mux.HandleFunc("/state", func(w http.ResponseWriter, req *http.Request) {
		s := stateOf(node, req.FormValue("held") != "", req.FormValue("heap") != "")
		s.LeftOut = leftOut.n.Load()
		_ = json.NewEncoder(w).Encode(s)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	if limit > 0 {
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		debug.SetMemoryLimit(int64(m.Sys-m.HeapReleased) + limit)
	}
	fmt.Println(l.Addr())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var who, address string
		if _, err := fmt.Sscan(in.Text(), &who, &address); err != nil {
			return err
		}
		if err := r.enter(ctx, who, address); err != nil {
			return err
		}
	}
	return nil
}

// leftOutCounter counts the views of a node that lack a registered instance.
type leftOutCounter struct {
	slog.Handler
	n atomic.Int64
}

func (*leftOutCounter) Enabled(context.Context, slog.Level) bool { return true }

func (c *leftOutCounter) Handle(_ context.Context, r slog.Record) error {
	numbers := map[string]int64{}
	r.Attrs(func(a slog.Attr) bool {
		if a.Value.Kind() == slog.KindInt64 {
			numbers[a.Key] = a.Value.Int64()
		}
		return true
	})
	if reached, ok := numbers["reached"]; ok && reached < numbers["registered"] {
		c.n.Add(1)
	}
	return nil
}

// items lets the test read and write by this node.
func items(w http.ResponseWriter, r *http.Request, store kv.KV) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	key := r.FormValue("key")
	var err error
	switch r.Method {
	case http.MethodGet:
		var item kv.Item
		if item, err = store.Get(ctx, key); err == nil {
			_, _ = w.Write(item.Value)
			return
		}
	case http.MethodPut:
		value, _ := io.ReadAll(r.Body)
		_, err = store.Put(ctx, key, value)
	case http.MethodDelete:
		err = store.Delete(ctx, key)
	}
	switch {
	case errors.Is(err, kv.ErrNotFound):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

// stateOf is asked again and again, so what is dear in it is left out unless it is wanted.
func stateOf(n *Node, held, heap bool) state {
	s := state{Held: map[string]uint64{}}
	n.mu.RLock()
	if v := n.v.Load(); v != nil {
		s.Epoch, s.Missing, s.Left = v.epoch, n.missing, n.leftovers(v)
	}
	n.mu.RUnlock()
	if held {
		for shard := range n.store.items.Shards() {
			n.store.walk(shard, func(e entry) bool { s.Held[e.key] = e.version; return true })
		}
	}
	s.Bytes = n.store.items.Bytes() + n.store.tombs.Bytes()
	if heap {
		s.RSS = rss()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		s.Heap = m.HeapAlloc
	}
	return s
}

// rss is the process's resident memory, as Linux tells it.
func rss() int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	var kib int64
	_, _ = fmt.Sscan(rest, &kib)
	return kib << 10
}

// fleet is a ring of processes, and a node of the test's own that owns nothing.
type fleet struct {
	testing.TB
	ids     []string
	process map[string]*servertest.Process
	address map[string]string
	*registry
	client kv.KV
	http   *http.Client
}

type fleetConfig struct {
	detection time.Duration
	bound     int64
	limit     int64
	way       func(from, to, address string) string // from a process or "client"; nil: straight
}

func startFleet(t testing.TB, c fleetConfig, ids ...string) *fleet {
	t.Helper()
	r, err := newRegistry()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	f := &fleet{t, ids, map[string]*servertest.Process{}, map[string]string{}, r, nil, &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(f.http.CloseIdleConnections)
	if c.way == nil {
		c.way = func(_, _, address string) string { return address }
	}
	if c.bound == 0 {
		c.bound = 64 << 20
	}
	for _, id := range ids {
		f.process[id] = servertest.Child(t, "instance", id, c.detection.String(), (200 * time.Millisecond).String(), fmt.Sprint(c.bound), fmt.Sprint(c.limit))
	}
	for _, id := range ids {
		f.address[id] = f.process[id].Line()
	}
	for _, to := range ids {
		for _, from := range ids {
			address := f.address[to]
			if from != to {
				address = c.way(from, to, address)
			}
			f.process[from].Send(to + " " + address)
		}
		if err := f.enter(t.Context(), to, c.way("client", to, f.address[to])); err != nil {
			t.Fatal(err)
		}
	}
	node, err := New(r, "cells", "client", WithKey(testKey), WithDetection(c.detection))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Close() })
	if f.client, err = kv.New(Backend(node), kv.WithLazy(), kv.WithTimeout(time.Minute)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.client.Close() })
	f.settle(ids...)
	return f
}

// settle waits until these agree that they are the ring, and have what they own.
func (f *fleet) settle(ids ...string) {
	f.Helper()
	want := tableOf(ids).epoch
	f.within(60*time.Second, func() error {
		for _, id := range ids {
			s, err := f.state(id, "")
			if err != nil {
				return err
			}
			if s.Epoch != want || s.Missing > 0 || s.Left {
				return fmt.Errorf("%s: %+v", id, s)
			}
		}
		return nil
	})
}

func tableOf(ids []string) *table {
	var all []member
	for _, id := range ids {
		all = append(all, member{id: id})
	}
	return place(all, 2)
}

func (f *fleet) within(limit time.Duration, check func() error) (took time.Duration) {
	f.Helper()
	start := time.Now()
	for {
		err := check()
		if err == nil {
			return time.Since(start)
		}
		if time.Since(start) > limit {
			f.Fatalf("not within %v: %v", limit, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func (f *fleet) state(id, query string) (s state, err error) {
	resp, err := f.http.Get("http://" + f.address[id] + "/state?" + query)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

// do reads or writes by a process's own node, and returns the HTTP status.
func (f *fleet) do(method, id, key, value string) (status int, body string) {
	f.Helper()
	req, err := http.NewRequestWithContext(f.Context(), method, "http://"+f.address[id]+"/items?key="+url.QueryEscape(key), strings.NewReader(value))
	if err != nil {
		f.Fatal(err)
	}
	resp, err := f.http.Do(req)
	if err != nil {
		f.Errorf("%s %q by %s: %v", method, key, id, err)
		return 0, ""
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}
