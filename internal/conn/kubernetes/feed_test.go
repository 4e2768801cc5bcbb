package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

// reader follows a collection.
type reader struct {
	t      *testing.T
	ended  chan error
	cancel context.CancelFunc

	mu     sync.Mutex
	have   map[string]string
	resets int
	moved  chan struct{} // closed and replaced with every change
}

func follow(t *testing.T, c *Conn, r Resource, s Selector) *reader {
	ctx, cancel := context.WithCancel(t.Context())
	f := &reader{t: t, ended: make(chan error, 1), cancel: cancel, have: map[string]string{}, moved: make(chan struct{})}
	go func() { f.ended <- Follow[configMap](ctx, c, r, s, f.apply) }()
	t.Cleanup(cancel)
	return f
}

func (f *reader) apply(ch Change[*configMap]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case ch.Reset:
		f.resets++
		f.have = map[string]string{}
		for _, o := range ch.All {
			f.have[o.Name] = o.Data["k"]
		}
	case ch.Deleted:
		delete(f.have, ch.Object.Name)
	case ch.Object != nil:
		f.have[ch.Object.Name] = ch.Object.Data["k"]
	}
	close(f.moved)
	f.moved = make(chan struct{})
}

// see waits until the collection is as "a=1 b=2".
func (f *reader) see(want string) {
	f.t.Helper()
	late := time.After(60 * time.Second)
	for {
		f.mu.Lock()
		var all []string
		for _, name := range slices.Sorted(maps.Keys(f.have)) {
			all = append(all, name+"="+f.have[name])
		}
		moved, resets := f.moved, f.resets
		f.mu.Unlock()
		if resets > 0 && strings.Join(all, " ") == want {
			return
		}
		select {
		case <-moved:
		case err := <-f.ended:
			f.t.Fatalf("ended: %v", err)
		case <-late:
			f.t.Fatalf("have %v, want %s", all, want)
		}
	}
}

func (f *reader) over(within time.Duration) error {
	f.t.Helper()
	select {
	case err := <-f.ended:
		return err
	case <-time.After(within):
		f.t.Fatalf("not over after %v", within)
		return nil
	}
}

// put creates or replaces an object.
func put(t *testing.T, c *Conn, r Resource, name, value string) {
	t.Helper()
	o := named(name, map[string]string{"k": value})
	_, err := Create(t.Context(), c, r, o)
	if errors.Is(err, fault.Exists) {
		_, err = Update(t.Context(), c, r, o)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestAllWhoFollowShareAWatch(t *testing.T) {
	t.Parallel()
	c, maps := open(t, "", nil)
	w := between(c, nil)
	put(t, c, maps, "a", "1")
	one, two := follow(t, c, maps, Selector{}), follow(t, c, maps, Selector{})
	for _, f := range []*reader{one, two} {
		f.see("a=1")
	}
	put(t, c, maps, "b", "1")
	put(t, c, maps, "a", "2")
	for _, f := range []*reader{one, two} {
		f.see("a=2 b=1")
	}
	three := follow(t, c, maps, Selector{}) // joins what runs
	three.see("a=2 b=1")
	only := follow(t, c, maps, Named("b"))
	only.see("b=1")
	err := c.Delete(t.Context(), maps, "b", Preconditions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*reader{one, two, three} {
		f.see("a=2")
	}
	only.see("")
	if n := w.watches.Load(); n != 2 { // of all, and of the one that is named
		t.Errorf("%d watches, want 2", n)
	}
	one.cancel()
	if err := one.over(time.Minute); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	put(t, c, maps, "a", "3")
	two.see("a=3")
	for _, f := range []*reader{two, three, only} {
		f.cancel()
		f.over(time.Minute)
	}
	c.mu.Lock()
	left := len(c.feeds)
	c.mu.Unlock()
	if left > 0 {
		t.Errorf("%d watches without a follower", left)
	}
	// The next one begins again.
	again := follow(t, c, maps, Selector{})
	again.see("a=3")
	c.Close()
	is(t, "after Close", again.over(5*time.Second), fault.Unavailable)
	is(t, "who comes after Close", Follow[configMap](t.Context(), c, maps, Selector{}, again.apply), fault.Unavailable)
}

func TestABrokenConnectionLosesNothing(t *testing.T) {
	t.Parallel()
	p := netfault.New(t, servertest.SharedKubernetes(t).Addr())
	c, maps := open(t, p.Addr(), nil)
	direct, _ := open(t, "", nil)
	f := follow(t, c, maps, Selector{})
	f.see("")
	want := ""
	for i := range 5 {
		p.Reset()
		name := fmt.Sprint("c", i)
		put(t, direct, maps, name, "1")
		want = strings.TrimSpace(want + " " + name + "=1")
		f.see(want)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.resets != 1 {
		t.Errorf("listed %d times, want once", f.resets)
	}
}

// A server that is unavailable ends what follows, at once; one that is silent
// within the time of two pings.
func TestAnOutageEndsAWatch(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		fail   func(p *netfault.Proxy)
		within time.Duration
	}{
		"refused": {func(p *netfault.Proxy) { p.Refuse(); p.Reset() }, 20 * time.Second},
		"silent":  {func(p *netfault.Proxy) { p.Drop(netfault.Both) }, pingAfter + pingWithin + 20*time.Second},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			p := netfault.New(t, servertest.SharedKubernetes(t).Addr())
			k, maps := open(t, p.Addr(), nil)
			direct, _ := open(t, "", nil)
			f := follow(t, k, maps, Selector{})
			f.see("")
			c.fail(p)
			is(t, what, f.over(c.within), fault.Unavailable)
			p.Heal()
			put(t, direct, maps, "a", "1")
			for k.Ping(t.Context()) != nil && t.Context().Err() == nil { // Heal has reset what was silent
			}
			follow(t, k, maps, Selector{}).see("a=1")
		})
	}
}

// A server that starts again ends what follows. From what was before it answers
// 410, and the list begins again.
func TestAServerThatRestarts(t *testing.T) {
	t.Parallel()
	k := servertest.Kubernetes(t)
	ns := k.Namespace(t)
	c, err := Open(Config{Address: "kubeconfig:" + k.Kubeconfig(t, k.Addr(), servertest.KubeAdmin, ns)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	maps := configMaps.In(ns)
	put(t, c, maps, "a", "1")
	f := follow(t, c, maps, Selector{})
	f.see("a=1")
	k.Kill()
	is(t, "without a server", f.over(5*time.Second), fault.Unavailable)
	k.Restart()
	put(t, c, maps, "a", "2")
	old := 0
	between(c, func(r *http.Request) *http.Response {
		if q := r.URL.Query(); q.Get("watch") != "" && old == 0 {
			old++
			q.Set("resourceVersion", "1")
			r.URL.RawQuery = q.Encode()
		}
		return nil
	})
	f = follow(t, c, maps, Selector{})
	f.see("a=2")
	put(t, c, maps, "a", "3")
	f.see("a=3")
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.resets != 2 {
		t.Errorf("listed %d times, want again after 410", f.resets)
	}
}

// What ends in good order goes on, and is not asked for without a pause.
func TestAServerThatEndsWatchesAtOnce(t *testing.T) {
	t.Parallel()
	c, maps := open(t, "", nil)
	ends := true
	var mu sync.Mutex
	w := between(c, func(r *http.Request) *http.Response {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Query().Get("watch") != "" && ends {
			return answer(200, "", nil)
		}
		return nil
	})
	f := follow(t, c, maps, Selector{})
	f.see("")
	began := time.Now()
	for w.watches.Load() < 4 {
		<-time.After(time.Millisecond)
	}
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("%d watches in %v", w.watches.Load(), took)
	}
	mu.Lock()
	ends = false
	mu.Unlock()
	put(t, c, maps, "a", "1")
	f.see("a=1")
}

// However a line is written, it is the same event.
func TestEventsInAnyForm(t *testing.T) {
	t.Parallel()
	const object = `{"metadata":{"name":"a","resourceVersion":"7","annotations":{"x":"\",\"object\":{"}}}`
	for _, line := range []string{
		`{"type":"ADDED","object":` + object + "}\n",
		`{ "type": "ADDED", "object": ` + object + " }\r\n",
		`{"object":` + object + `,"type":"ADDED"}` + "\n",
		`{"type":"ADDED","object":` + object + ` }` + "\n",
	} {
		e, err := parseEvent([]byte(line))
		if err != nil || e.Type != "ADDED" || strings.TrimSpace(string(e.Object)) != object {
			t.Errorf("%s: %s %s, %v", line, e.Type, e.Object, err)
		}
	}
}

// Events that nobody can read end the watch rather than pass unseen.
func TestEventsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		line string
		want error
	}{
		"no JSON":            {"nonsense\n", fault.Unavailable},
		"half a line":        {`{"type":"ADDED"`, fault.Unavailable},
		"an object in vain":  {`{"type":"ADDED","object":{"metadata":{"name":7}}}` + "\n", fault.Unavailable},
		"no version":         {`{"type":"ADDED","object":{"metadata":{"name":"a"}}}` + "\n", fault.Unavailable},
		"an error":           {`{"type":"ERROR","object":{"code":500,"message":"boom"}}` + "\n", fault.Unavailable},
		"a refusal":          {`{"type":"ERROR","object":{"code":403,"message":"no"}}` + "\n", fault.Denied},
		"an endless line":    {strings.Repeat("x", maxEvent+100), fault.Unavailable},
		"an error of no one": {`{"type":"ERROR","object":{}}` + "\n", fault.Unavailable},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			k, maps := open(t, "", nil)
			between(k, func(r *http.Request) *http.Response {
				if r.URL.Query().Get("watch") == "" {
					return nil
				}
				return answer(200, c.line, nil)
			})
			err := follow(t, k, maps, Selector{}).over(time.Minute)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}
