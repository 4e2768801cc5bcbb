package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// load is shoppers who come at a fixed rate, whether or not the shop answers
// those who came before, as long as there is room.
type load struct {
	base   string
	run    string // distinguishes the orders of this run
	client *http.Client
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	active   *sync.WaitGroup // the calls since the last settle
	phase    string
	calls    map[string][]time.Duration // by phase
	failed   map[string]int
	failure  error           // the first
	placed   map[string]bool // orders that were answered with success
	versions map[string]string
	changed  int // users who saw another version than before
	recent   []time.Duration
}

func newLoad(base string, rate, most int) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{
		base: base, run: rand.Text()[:8], client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}, cancel: cancel, active: new(sync.WaitGroup), phase: "before",
		calls: map[string][]time.Duration{}, failed: map[string]int{}, placed: map[string]bool{}, versions: map[string]string{},
	}
	l.wg.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		room := make(chan struct{}, most)
		for i := 0; ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			select {
			case room <- struct{}{}:
				visit := i
				l.wg.Go(func() { l.shop(visit); <-room })
				i++
			default:
			}
		}
	})
	return l
}

// shop is one visit: look, pick, order, look at the order.
func (l *load) shop(i int) {
	user, id := fmt.Sprint("user-", i%1000), fmt.Sprintf("%s-%d", l.run, i)
	product := []string{"mug", "pen", "lamp", "book", "bag"}[i%5]
	var home Home
	if l.call(http.MethodGet, "/?user="+url.QueryEscape(user), nil, &home) == nil {
		l.saw(user, home.Catalogue)
	}
	if l.again(http.MethodPut, "/carts/"+user+"/"+product, 1+i%3) != nil {
		return
	}
	if l.again(http.MethodPut, "/orders/"+user+"/"+id, nil) != nil {
		return
	}
	l.mu.Lock()
	l.placed[id] = true
	l.mu.Unlock()
	_ = l.call(http.MethodGet, "/orders/"+user+"/"+id, nil, nil)
}

// again tries a few times, as a person does. Each failure counts.
func (l *load) again(method, path string, in any) (err error) {
	for range 3 {
		err = l.call(method, path, in, nil)
		if err == nil {
			return nil
		}
		time.Sleep(200 * time.Millisecond)
	}
	return err
}

func (l *load) call(method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	l.mu.Lock()
	l.active.Add(1)
	defer l.active.Done()
	l.mu.Unlock()
	start := time.Now()
	err := ask(ctx, l.client, method, l.base+path, in, out)
	took := time.Since(start)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls[l.phase] = append(l.calls[l.phase], took)
	l.recent = append(l.recent, took)
	if err != nil {
		l.failed[l.phase]++
		if l.failure == nil {
			l.failure = err
		}
	}
	return err
}

// settle waits for the answers to what was asked since settle was called last.
func (l *load) settle() {
	l.mu.Lock()
	asked := l.active
	l.active = new(sync.WaitGroup)
	l.mu.Unlock()
	asked.Wait()
}

func (l *load) saw(user, version string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if before := l.versions[user]; before != "" && before != version {
		l.changed++
	}
	l.versions[user] = version
}

// progress prints a line a second for the time of a phase.
func (l *load) progress(ctx context.Context, out io.Writer, name string, long time.Duration) {
	l.mu.Lock()
	l.phase = name
	l.mu.Unlock()
	end := time.After(long)
	tick := time.NewTicker(min(time.Second, long))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-end:
			l.await(ctx, name)
			return
		case <-tick.C:
			l.mu.Lock()
			say(out, "   %6d requests in this phase  %d errors  p50 %-8s p99 %s\n", len(l.calls[name]), l.failed[name], quantile(l.recent, 0.50), quantile(l.recent, 0.99))
			l.recent = nil
			l.mu.Unlock()
		}
	}
}

// await returns when some requests of a phase were answered, however slow the machine is.
func (l *load) await(ctx context.Context, name string) {
	for ctx.Err() == nil {
		l.mu.Lock()
		n := len(l.calls[name])
		l.mu.Unlock()
		if n >= 12 {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// stop waits for the shoppers that are in the shop.
func (l *load) stop() {
	l.cancel()
	l.wg.Wait()
	l.client.CloseIdleConnections()
}

func quantile(d []time.Duration, q float64) string {
	if len(d) == 0 {
		return "-"
	}
	d = slices.Sorted(slices.Values(d))
	return fmt.Sprintf("%.1fms", float64(d[min(int(q*float64(len(d))), len(d)-1)])/float64(time.Millisecond))
}
