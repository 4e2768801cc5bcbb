package relay_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/relay"
)

// ask opens a stream and reads its first line.
func ask(t *testing.T, s *httptest.Server, service string) *http.Response {
	t.Helper()
	resp, err := s.Client().Get(s.URL + "/watch/" + service)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == http.StatusOK {
		if _, err := resp.Body.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	return resp
}

// settles waits until a number stays at most at a bound.
func settles(t *testing.T, what string, most int, n func() int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); n() > most; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d %s, want at most %d", n(), what, most)
		}
	}
}

func TestNamesThatStrangersMakeUpLeaveLittleBehind(t *testing.T) {
	c, source, s := newSource(t)
	if _, err := source.Register(t.Context(), in("a")); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	burst := func(name string, n int) (heap int) {
		var group sync.WaitGroup
		for w := range 8 {
			group.Go(func() {
				for i := w; i < n; i += 8 {
					resp, err := s.Client().Get(fmt.Sprintf("%s/watch/%s-%d", s.URL, name, i))
					if err != nil {
						t.Error(err)
						return
					}
					if resp.StatusCode != http.StatusOK {
						t.Errorf("stream %d, few at a time: %s", i, resp.Status)
					}
					resp.Body.Close()
				}
			})
		}
		group.Wait()
		s.CloseClientConnections()
		settles(t, "sessions with the registry", 64, func() int { return int(c.open.Load()) })
		settles(t, "goroutines more", 3*64+20, func() int { return runtime.NumGoroutine() - before })
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	after := burst("made-up", 1000) // as many as are followed for a while, and more
	if grown := burst("invented", 10_000) - after; grown > 1<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if resp := ask(t, s, "made-up-last"); resp.Body.Close() != nil {
		t.Error("the last stream is not well")
	}
	// A name that is asked for all the time is followed all the time.
	if _, ok := source.Lookup("made-up-last"); !ok {
		t.Error("the last is not known any more")
	}
}

func TestAHandlersBounds(t *testing.T) {
	_, source, _ := newSource(t)
	s := httptest.NewServer(handler(t, source, relay.WithMaxUnknown(3), relay.WithMaxStreams(6)))
	defer s.Close()
	if _, err := source.Register(t.Context(), in("a")); err != nil {
		t.Fatal(err)
	}
	var open []*http.Response
	for i, c := range []struct {
		service string
		want    int
	}{
		{"u1", 200}, {"u2", 200}, {"u3", 200}, // at the bound
		{"u4", 429}, // above
		{"u3", 200}, // one that is followed already is nothing more
		{"s", 200},  // nor is one that has instances
		{"s", 200},  // the sixth stream
		{"s", 503},
		{"a/b", 404},
	} {
		resp := ask(t, s, c.service)
		if resp.StatusCode != c.want {
			t.Errorf("%d, %s: %s, want %d", i, c.service, resp.Status, c.want)
		}
		if resp.StatusCode == 200 {
			open = append(open, resp)
		} else {
			resp.Body.Close()
		}
	}
	// What ends makes room.
	for _, resp := range open {
		resp.Body.Close()
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		resp := ask(t, s, "u4")
		resp.Body.Close()
		if resp.StatusCode == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(resp.Status)
		}
	}
	for what, opt := range map[string]relay.HandlerOption{"nil": nil, "no streams": relay.WithMaxStreams(0), "no unknown": relay.WithMaxUnknown(-1)} {
		if _, err := relay.Handler(source, opt); !errors.Is(err, discovery.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", what, err)
		}
	}
	if _, err := relay.Handler(nil); !errors.Is(err, discovery.ErrInvalid) {
		t.Errorf("nil discovery: %v, want ErrInvalid", err)
	}
}

func TestAReaderThatIsRefusedSaysWhy(t *testing.T) {
	_, source, _ := newSource(t)
	s := httptest.NewServer(handler(t, source, relay.WithMaxUnknown(1)))
	t.Cleanup(s.Close)
	d := open(t, s.URL)
	if _, err := d.Get(t.Context(), "u1"); err != nil {
		t.Fatal(err)
	}
	_, err := d.Get(t.Context(), "u2")
	if !errors.Is(err, discovery.ErrUnavailable) || !strings.Contains(err.Error(), "too many services without an instance") {
		t.Errorf("got %v", err)
	}
}

// crowded is a discovery whose questions wait, and are counted.
type crowded struct {
	discovery.Discovery
	asked, most atomic.Int32
	answer      chan struct{}
}

func (c *crowded) Services(ctx context.Context) ([]string, error) {
	n := c.asked.Add(1)
	defer c.asked.Add(-1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	<-c.answer
	return []string{"s"}, nil
}

// Each question for the names goes to the registry: strangers can't ask it more
// than 64 of them at once.
func TestQuestionsForNamesAreBounded(t *testing.T) {
	_, source, _ := newSource(t)
	c := &crowded{Discovery: source, answer: make(chan struct{})}
	h := handler(t, c)
	var arrived atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived.Add(1)
		h.ServeHTTP(w, r)
	}))
	defer s.Close()
	var group sync.WaitGroup
	for range 200 {
		group.Go(func() {
			resp, err := s.Client().Get(s.URL + "/services")
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("got %s", resp.Status)
			}
		})
	}
	for deadline := time.Now().Add(30 * time.Second); (arrived.Load() < 200 || c.asked.Load() < 64) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	for until := time.Now().Add(50 * time.Millisecond); c.asked.Load() <= 64 && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
	close(c.answer)
	group.Wait()
	if n := c.most.Load(); n != 64 {
		t.Errorf("%d at once, want 64 of 200", n)
	}
}
