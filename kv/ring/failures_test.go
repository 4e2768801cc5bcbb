package ring

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/kv"
)

var five = []string{"a", "b", "c", "d", "e"}

// TestAKilledProcessLosesNothingAcknowledged: with two copies no acknowledged
// write is lost, and no read that starts after the death takes longer than
// detection and a second.
func TestAKilledProcessLosesNothingAcknowledged(t *testing.T) {
	t.Parallel() // TestMain looks for leaks
	const detection, keys, writers, readers = time.Second, 2000, 16, 4
	f := startFleet(t, fleetConfig{detection: detection}, five...)
	var (
		acked   sync.Map
		next    atomic.Int64 // the key that is written next
		count   atomic.Int64 // of acknowledged ones
		killed  = make(chan struct{})
		unknown atomic.Int64
		wrote   = make(chan struct{})
		slowest atomic.Int64
		writing sync.WaitGroup
		reading sync.WaitGroup
	)
	for range writers {
		writing.Go(func() {
			for {
				i := next.Add(1)
				if i > keys {
					return
				}
				if i == keys/2 {
					f.process["c"].Kill() // which waits for its end
					close(killed)
				}
				_, err := f.client.Put(t.Context(), key(i), []byte(key(i)))
				switch {
				case err == nil:
					acked.Store(i, true)
					count.Add(1)
				case errors.Is(err, kv.ErrUnknownOutcome):
					unknown.Add(1)
				default:
					t.Errorf("Put(%d): %v", i, err)
				}
			}
		})
	}
	still := watchStill(t)
	read := func(i int64) {
		start, before := time.Now(), still.total()
		item, err := f.client.Get(t.Context(), key(i))
		if err != nil || string(item.Value) != key(i) {
			t.Errorf("Get(%d) = %q, %v", i, item.Value, err)
		}
		for took, old := int64(time.Since(start)-still.total()+before), slowest.Load(); took > old && !slowest.CompareAndSwap(old, took); old = slowest.Load() {
		}
	}
	for range readers {
		reading.Go(func() {
			<-killed
			for {
				select {
				case <-wrote:
					return
				default:
				}
				i := 1 + rand.Int64N(keys/2)
				if _, ok := acked.Load(i); ok {
					read(i)
				}
			}
		})
	}
	writing.Wait()
	close(wrote)
	reading.Wait()
	if count.Load() < keys*9/10 {
		t.Fatalf("only %d of %d writes were acknowledged", count.Load(), keys)
	}
	check := func() { acked.Range(func(i, _ any) bool { read(i.(int64)); return !t.Failed() }) }
	check()
	if got := time.Duration(slowest.Load()); got > detection+time.Second {
		t.Errorf("a read took %v, want at most %v", got, detection+time.Second)
	}
	f.settle("a", "b", "d", "e") // each key is on two again
	check()
	t.Logf("%d acknowledged, %d of unknown outcome, slowest read %v", count.Load(), unknown.Load(), time.Duration(slowest.Load()))
}

// still says for how long the machine has kept this process waiting, which
// promises of its speed don't count.
type still struct {
	mu   sync.Mutex
	last time.Time
	sum  time.Duration
}

func watchStill(t *testing.T) *still {
	s := &still{last: time.Now()}
	ended := make(chan struct{})
	t.Cleanup(func() { <-ended })
	go func() {
		defer close(ended)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for t.Context().Err() == nil {
			<-tick.C
			s.mu.Lock()
			s.sum += s.gap()
			s.last = time.Now()
			s.mu.Unlock()
		}
	}()
	return s
}

// gap is by how much the present tick is late. s.mu is held.
func (s *still) gap() time.Duration { return max(time.Since(s.last)-50*time.Millisecond, 0) }

func (s *still) total() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sum + s.gap()
}

func key(i int64) string { return fmt.Sprint("key ", i) }

// TestAPausedProcessBringsNothingBack stops a process while others delete what
// it has, longer than it takes to leave it out.
func TestAPausedProcessBringsNothingBack(t *testing.T) {
	t.Parallel() // TestMain looks for leaks
	const keys, pause = 300, 10 * time.Second
	f := startFleet(t, fleetConfig{detection: time.Second}, five...)
	put := func(i int64, value string, opts ...kv.PutOption) {
		if _, err := f.client.Put(t.Context(), key(i), []byte(value), opts...); err != nil {
			t.Fatalf("Put(%d): %v", i, err)
		}
	}
	for i := range int64(keys) {
		put(i, "old")
	}
	held, err := f.state("c", "held=1")
	if err != nil || len(held.Held) < keys/5 {
		t.Fatalf("the process that is stopped has %d keys, %v: nothing is shown", len(held.Held), err)
	}
	before, err := f.state("c", "")
	if err != nil {
		t.Fatal(err)
	}
	f.process["c"].Pause()
	stopped := time.Now()
	for i := range int64(keys) {
		switch i % 3 {
		case 0: // is deleted
			f.within(30*time.Second, func() error { return f.client.Delete(t.Context(), key(i)) })
		case 1: // is replaced by one that soon ends
			f.within(30*time.Second, func() error {
				_, err := f.client.Put(t.Context(), key(i), []byte("short"), kv.TTL(time.Second))
				return err
			})
		case 2: // both
			f.within(30*time.Second, func() error { return f.client.Delete(t.Context(), key(i)) })
			f.within(30*time.Second, func() error {
				_, err := f.client.Put(t.Context(), key(i), []byte("short"), kv.TTL(time.Second))
				return err
			})
		}
	}
	<-time.After(max(pause-time.Since(stopped), 1100*time.Millisecond))
	f.process["c"].Resume()
	back := func() {
		t.Helper()
		for i := range int64(keys) {
			status, body := f.do(http.MethodGet, "c", key(i), "")
			if status != http.StatusNotFound && status != http.StatusServiceUnavailable {
				t.Fatalf("key %d is back on the process that was stopped: %d %q", i, status, body)
			}
			if item, err := f.client.Get(t.Context(), key(i)); !errors.Is(err, kv.ErrNotFound) {
				t.Fatalf("key %d is back: %q, %v", i, item.Value, err)
			}
		}
	}
	back()
	f.settle(five...)
	back()
	if s, err := f.state("c", ""); err != nil || s.LeftOut != before.LeftOut {
		t.Errorf("the process that was stopped found its peers out of reach %d times, %v, want 0: it had not listened", s.LeftOut-before.LeftOut, err)
	}
	for _, id := range five {
		if s, err := f.state(id, "held=1"); err != nil || len(s.Held) > 0 {
			t.Errorf("%s holds %v, %v", id, s.Held, err)
		}
	}
}

// TestACutThatHealsConverges cuts two of five processes off. The other three
// go on, and a minute after the cut has healed, at the latest, every key is on
// its two owners, in the same version.
func TestACutThatHealsConverges(t *testing.T) {
	t.Parallel() // TestMain looks for leaks
	const keys = 300
	minority := map[string]bool{"d": true, "e": true}
	var proxies []*netfault.Proxy
	f := startFleet(t, fleetConfig{detection: time.Second, way: func(from, to, address string) string {
		if minority[from] == minority[to] {
			return address
		}
		p := netfault.New(t, address)
		proxies = append(proxies, p)
		return p.Addr()
	}}, five...)
	want := map[string]string{}
	put := func(i int64, value string) {
		t.Helper()
		f.within(30*time.Second, func() error {
			_, err := f.client.Put(t.Context(), key(i), []byte(value))
			return err
		})
		want[key(i)] = value
	}
	for i := range int64(keys) {
		put(i, "before")
	}
	for _, p := range proxies {
		p.Hold(netfault.Both)
	}
	for i := range int64(keys) {
		switch i % 3 {
		case 0:
			put(i, "during")
		case 1:
			f.within(30*time.Second, func() error { return f.client.Delete(t.Context(), key(i)) })
			delete(want, key(i))
		}
		put(keys+i, "new")
	}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			key := fmt.Sprint(minorityKey, i)
			if status, _ := f.do(http.MethodPut, "d", key, "v"); status != http.StatusServiceUnavailable && !minorityOwns(key) {
				t.Errorf("a write of %q by the minority: status %d, want refused", key, status)
			}
		})
	}
	wg.Wait()
	for _, p := range proxies {
		p.Heal()
	}
	took := f.within(60*time.Second, func() error { return f.converged(want) })
	t.Logf("%d keys, converged %v after the cut has healed", len(want), took)
	for k, value := range want {
		for _, id := range []string{"a", "e"} {
			if status, body := f.do(http.MethodGet, id, k, ""); status != http.StatusOK || body != value {
				t.Fatalf("Get(%q) by %s: %d %q, want %q", k, id, status, body, value)
			}
		}
	}
}

// minorityKey begins the keys that the minority tries to write: most are
// refused, and of some it cannot know.
const minorityKey = "minority/"

// minorityOwns reports that both owners of a key are on the small side, which
// then may take a write: nobody else has a say in it.
func minorityOwns(key string) bool {
	for _, id := range tableOf(five).owners[partition(hash(key))] {
		if id != "d" && id != "e" {
			return false
		}
	}
	return true
}

// converged returns what is not where it belongs.
func (f *fleet) converged(want map[string]string) error {
	all := map[string]map[string]uint64{}
	for _, id := range f.ids {
		s, err := f.state(id, "held=1")
		if err != nil {
			return err
		}
		all[id] = s.Held
		for k := range s.Held {
			if _, ok := want[k]; !ok && !strings.HasPrefix(k, minorityKey) {
				return fmt.Errorf("%s holds %q, which was deleted or refused", id, k)
			}
		}
	}
	t := tableOf(f.ids)
	for k := range want {
		owners := t.owners[partition(hash(k))]
		for _, id := range f.ids {
			version, there := all[id][k]
			if there != (id == owners[0] || id == owners[1]) || there && version != all[owners[0]][k] {
				return fmt.Errorf("%q is version %d on %s, owners are %v", k, version, id, owners)
			}
		}
	}
	return nil
}
