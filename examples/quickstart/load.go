package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	dsync "github.com/micro/go-platform/sync"
)

// load makes calls at a fixed rate, whether or not earlier ones were answered.
type load struct {
	c      *cluster
	lock   dsync.Lock
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	all     []time.Duration
	recent  []time.Duration
	failed  int
	failure error // the first
}

// load begins under a lock: with a shared lock service, several quickstarts
// take turns.
func (c *cluster) load(ctx context.Context, rate int) (*load, error) {
	lock, err := c.held.Lock(ctx, "load", dsync.Owner("quickstart"))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	l := &load{c: c, lock: lock, cancel: cancel}
	names := []string{"Ada", "Grace", "Barbara", "Leslie", "Edsger"}
	l.wg.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				l.wg.Go(func() { l.call(names[i%len(names)]) })
			}
		}
	})
	return l, nil
}

func (l *load) call(name string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	start := time.Now()
	err := l.hello(ctx, name)
	took := time.Since(start)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, took)
	l.recent = append(l.recent, took)
	if err != nil {
		l.failed++
		if l.failure == nil {
			l.failure = err
		}
	}
}

func (l *load) hello(ctx context.Context, name string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://greeter/hello/"+name, nil)
	if err != nil {
		return err
	}
	resp, err := l.c.client.w.Client().Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return err
}

// progress prints a line a second for the time of a phase.
func (l *load) progress(ctx context.Context, out io.Writer, phase time.Duration) {
	end := time.After(phase)
	tick := time.NewTicker(min(time.Second, phase))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.line(out)
		case <-end:
			return
		}
	}
}

func (l *load) line(out io.Writer) {
	l.mu.Lock()
	recent, total, failed := l.recent, len(l.all), l.failed
	l.recent = nil
	l.mu.Unlock()
	fmt.Fprintf(out, "   %6d calls  %d failed  p50 %-7s p99 %s\n", total, failed, quantile(recent, 0.50), quantile(recent, 0.99))
}

// stop ends the load and waits for the calls in flight.
func (l *load) stop() error {
	l.cancel()
	l.wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := l.lock.Unlock(ctx); err != nil {
		return err
	}
	if len(l.all) == 0 {
		return fmt.Errorf("no call was made")
	}
	return nil
}

func quantile(d []time.Duration, q float64) string {
	if len(d) == 0 {
		return "-"
	}
	d = slices.Sorted(slices.Values(d))
	return fmt.Sprintf("%.1fms", float64(d[min(int(q*float64(len(d))), len(d)-1)])/float64(time.Millisecond))
}
