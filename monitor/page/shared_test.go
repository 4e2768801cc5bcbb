package page_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/config/store"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/monitor/page"
	"github.com/micro/go-platform/trace"
)

// slowStore takes a second for its names, and counts who asks.
type slowStore struct {
	store.Store
	asked atomic.Int64
}

func (s *slowStore) Namespaces(ctx context.Context) ([]string, error) {
	s.asked.Add(1)
	select {
	case <-time.After(time.Second):
		return s.Store.Namespaces(ctx)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// However many look at the timeline, the store is asked every two seconds, also
// when the reader who asked has left. Who rolls back sees it at once.
func TestReadersOfTheTimelineShareAnAnswerOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &slowStore{Store: documents(t)}
		mo, err := monitor.New()
		if err != nil {
			t.Fatal(err)
		}
		p, err := page.New(mo, page.WithDocuments(st), page.WithAccess(func(*http.Request) page.Access { return page.Write }))
		if err != nil {
			t.Fatal(err)
		}
		leaves, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			ask(p, http.MethodGet, "http://localhost/api/timeline", func(r *http.Request) { *r = *r.WithContext(leaves) })
		})
		synctest.Wait()
		cancel()
		for i := range 50 {
			all.Go(func() {
				if got := told(t, p, fmt.Sprintf("kind=config&limit=%d", 1+i%3)); len(got) != 1+i%3 || !strings.Contains(got[len(got)-1], "version 3") {
					t.Errorf("got %q", got)
				}
			})
		}
		all.Wait()
		if n := st.asked.Load(); n != 1 {
			t.Errorf("the store was asked %d times for 51 readers, want 1", n)
		}
		time.Sleep(3 * time.Second)
		told(t, p, "kind=config")
		if n := st.asked.Load(); n != 2 {
			t.Errorf("later it was asked %d times in all, want 2", n)
		}
		if w := ask(p, http.MethodPost, "http://localhost/api/rollback?namespace=shop&to=1&newest=3", nil); w.Code != http.StatusOK {
			t.Fatalf("rollback: %d %s", w.Code, w.Body)
		}
		if got := told(t, p, "kind=config"); len(got) != 4 || !strings.Contains(got[3], "version 4: rollback to 1") {
			t.Errorf("after a rollback: %q", got)
		}
		if err := errors.Join(p.Close(), mo.Close(t.Context()), st.Close()); err != nil {
			t.Error(err)
		}
	})
}

// lateStore takes a second to answer what it has found.
type lateStore struct{ store.Store }

func (s lateStore) History(ctx context.Context, q store.Query) iter.Seq2[store.Version, error] {
	var all []store.Version
	var failed error
	for v, err := range s.Store.History(ctx, q) {
		if failed = err; err == nil {
			all = append(all, v)
		}
	}
	time.Sleep(time.Second)
	return func(yield func(store.Version, error) bool) {
		if failed != nil {
			yield(store.Version{}, failed)
			return
		}
		for _, v := range all {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// An answer of the store that was found before a rollback is not kept for those who
// ask after it.
func TestARollbackDuringAnAnswerIsSeenNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := lateStore{documents(t)}
		mo, err := monitor.New()
		if err != nil {
			t.Fatal(err)
		}
		p, err := page.New(mo, page.WithDocuments(st), page.WithAccess(func(*http.Request) page.Access { return page.Write }))
		if err != nil {
			t.Fatal(err)
		}
		var before sync.WaitGroup
		before.Go(func() {
			if got := told(t, p, "kind=config"); len(got) != 3 {
				t.Errorf("before the rollback: %q", got)
			}
		})
		synctest.Wait() // it has found three versions
		if w := ask(p, http.MethodPost, "http://localhost/api/rollback?namespace=shop&to=1&newest=3", nil); w.Code != http.StatusOK {
			t.Fatalf("rollback: %d %s", w.Code, w.Body)
		}
		before.Wait()
		if got := told(t, p, "kind=config"); len(got) != 4 || !strings.Contains(got[3], "version 4: rollback to 1") {
			t.Errorf("after the rollback: %q", got)
		}
		if err := errors.Join(p.Close(), mo.Close(t.Context()), st.Close()); err != nil {
			t.Error(err)
		}
	})
}

// What is large is compressed for whoever says that they take it.
func TestLargeAnswersAreCompressed(t *testing.T) {
	p := bare(t)
	plain := func(accept string) (body []byte, compressed bool) {
		w := ask(p, http.MethodGet, "http://localhost/", func(r *http.Request) {
			if accept != "" {
				r.Header.Set("Accept-Encoding", accept)
			}
		})
		if w.Code != http.StatusOK || w.Header().Get("Vary") != "Accept-Encoding" {
			t.Fatalf("%q: status %d, header %v", accept, w.Code, w.Header())
		}
		return w.Body.Bytes(), w.Header().Get("Content-Encoding") == "gzip"
	}
	whole, compressed := plain("")
	if compressed || !bytes.Contains(whole, []byte("</html>")) {
		t.Fatalf("unasked: %.100s", whole)
	}
	for accept, want := range map[string]bool{"gzip": true, "br, GZIP ; q=0.5": true, "gzip;q=0": false, "gzip;q=x": false, "br": false, "xgzip": false} {
		body, compressed := plain(accept)
		if compressed != want {
			t.Errorf("%q: compressed %v, want %v", accept, compressed, want)
		}
		if compressed {
			z, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if len(body) > len(whole)/2 {
				t.Errorf("%q: %d of %d bytes", accept, len(body), len(whole))
			}
			if body, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(body, whole) {
			t.Errorf("%q: another page", accept)
		}
	}
	if w := ask(p, http.MethodGet, "http://localhost/api/session", func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") }); w.Header().Get("Content-Encoding") != "" || !json.Valid(w.Body.Bytes()) {
		t.Errorf("a short answer: %v %q", w.Header(), w.Body)
	}
}

// slowTracer searches until it is released.
type slowTracer struct {
	trace.Tracer
	asked, release chan struct{}
}

func (s *slowTracer) Search(context.Context, trace.Query) (trace.Page, error) {
	s.asked <- struct{}{}
	<-s.release
	return trace.Page{}, nil
}

// A reader of the map who has left does not wait for the traces that another one
// asked for.
func TestAReaderOfTheMapCanLeave(t *testing.T) {
	mo, err := monitor.New()
	if err != nil {
		t.Fatal(err)
	}
	defer mo.Close(context.Background())
	tr := &slowTracer{asked: make(chan struct{}), release: make(chan struct{})}
	p, err := page.New(mo, page.WithTrace(tr))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var all sync.WaitGroup
	defer all.Wait()
	defer close(tr.release)
	all.Go(func() { ask(p, http.MethodGet, "http://localhost/api/map", nil) })
	<-tr.asked
	left, cancel := context.WithCancel(t.Context())
	cancel()
	gone := make(chan struct{})
	all.Go(func() {
		ask(p, http.MethodGet, "http://localhost/api/map", func(r *http.Request) { *r = *r.WithContext(left) })
		close(gone)
	})
	select {
	case <-gone:
	case <-time.After(30 * time.Second):
		t.Error("it waits")
	}
}
