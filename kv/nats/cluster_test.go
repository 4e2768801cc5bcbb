package nats_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/nats"
)

// TestThreeNodes has a bucket that three servers keep. Each of them may answer reads, and
// one that stood still for a moment does not have yet what was acknowledged meanwhile.
func TestThreeNodes(t *testing.T) {
	leak.Check(t)
	c := servertest.NATSCluster(t)
	open := func(addrs ...string) kv.KV {
		t.Helper()
		store, err := kv.New(nats.Backend(strings.Join(addrs, ","), nats.WithReplicas(3)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		return store
	}
	put := func(store kv.KV, key string, n int) {
		t.Helper()
		if _, err := store.Put(t.Context(), key, []byte(strconv.Itoa(n))); err != nil {
			t.Fatal(err)
		}
	}
	put(open(c.Addrs()...), "first", 0)
	leader := servertest.StreamLeader(t, c, "KV_kv")
	writer, slow := open(leader.Addr()), follower(c, leader)
	reader := open(slow.Addr())
	put(writer, "shared/n", 0)
	if _, err := reader.Get(t.Context(), "shared/n"); err != nil {
		t.Fatal(err)
	}
	answers(t, slow)
	for round := 1; round <= 5; round++ {
		slow.Pause()
		var wg sync.WaitGroup
		for w := range 8 { // so that it has something to catch up with
			wg.Go(func() {
				for i := range 250 {
					if _, err := writer.Put(t.Context(), fmt.Sprintf("fill/%d-%d", w, i), make([]byte, 1000)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		put(writer, "shared/n", round)
		put(writer, fmt.Sprint("shared/k", round), round)
		t.Run(fmt.Sprint("Round", round), func(t *testing.T) {
			got := make(chan error, 1)
			go func() { // the first thing that it hears
				item, err := reader.Get(t.Context(), "shared/n")
				if err == nil && string(item.Value) != strconv.Itoa(round) {
					err = fmt.Errorf("Get = %q after the Put of %d returned", item.Value, round)
				}
				got <- err
			}()
			<-time.After(10 * time.Millisecond)
			slow.Resume()
			if err := <-got; err != nil {
				t.Error(err)
			}
			if err := watched(t, reader, round); err != nil {
				t.Error(err)
			}
			n := 0
			for item, err := range reader.List(t.Context(), "shared/k") {
				if n++; err != nil {
					t.Fatalf("%s: %v", item.Key, err)
				}
			}
			if n != round {
				t.Errorf("%d keys are listed, want %d", n, round)
			}
		})
	}
}

// watched starts several watches, whose consumers are on any of the servers.
func watched(t *testing.T, store kv.KV, want int) error {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	errs := make([]error, 6)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			told := ""
			for e, err := range store.Watch(ctx, "shared/n") {
				if err != nil {
					errs[i] = err
					return
				}
				switch e.Kind {
				case kv.EventPut:
					told = string(e.Item.Value)
				case kv.EventSynced:
					if told != strconv.Itoa(want) {
						errs[i] = fmt.Errorf("a watch begins with %q after the Put of %d returned", told, want)
					}
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// answers waits until a follower answers direct gets, which it does once it was as new as
// the leader.
func answers(t *testing.T, m *servertest.Server) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		r, err := http.Get("http://" + m.AddrOf("http") + "/subsz?subs=1&limit=100000")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r.Body)
		r.Body.Close()
		if strings.Contains(string(b), "$JS.API.DIRECT.GET.KV_kv") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the follower does not answer direct gets: %v, %s", err, b[:min(len(b), 3000)])
		}
		<-time.After(20 * time.Millisecond)
	}
}

func follower(c *servertest.Cluster, leader *servertest.Server) *servertest.Server {
	i := slices.IndexFunc(c.Followers(), func(m *servertest.Server) bool { return m != leader })
	return c.Followers()[i]
}
