// Package remote keeps a parsed copy of a document at a URL: a key set, a
// server's metadata. However many ask for it, and whatever they ask for, the
// URL is fetched a bounded number of times.
package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/life"
)

// Limits of a document.
const (
	maxBody  = 1 << 20
	minFresh = 5 * time.Minute // a server's max-age is believed between these
	maxFresh = 24 * time.Hour
	maxStale = 24 * time.Hour // for how long a copy is used after it should have been renewed

	renewEvery = 30 * time.Second // of renewals asked for by Renew, after the first two
	renewBurst = 2
	retryMin   = 500 * time.Millisecond // between failed first fetches
	retryMax   = 30 * time.Second
)

// Document is a copy of a document. Make one with New.
type Document[T any] struct {
	urls    []string // the first that answers counts
	client  *http.Client
	timeout time.Duration
	parse   func([]byte) (T, error)
	life    *life.Life

	mu       sync.Mutex
	value    T
	have     bool
	fetched  time.Time
	renewAt  time.Time // fetched again in the background from here on
	flight   *flight
	failures int
	failed   error
	retryAt  time.Time
	tokens   float64 // of the bucket that bounds Renew
	counted  time.Time
}

type flight struct {
	done chan struct{}
	err  error
}

// New returns an empty Document. Fetches belong to l and end with it.
func New[T any](l *life.Life, client *http.Client, timeout time.Duration, parse func([]byte) (T, error), urls ...string) *Document[T] {
	return &Document[T]{urls: urls, client: client, timeout: timeout, parse: parse, life: l, tokens: renewBurst, counted: time.Now()}
}

// Get returns the copy. The first call fetches it; later ones return at once,
// and an old copy is renewed behind their backs. An error is ErrUnavailable.
func (d *Document[T]) Get(ctx context.Context) (T, error) {
	d.mu.Lock()
	now := time.Now()
	if d.usable(now) {
		v := d.value
		if now.After(d.renewAt) && now.After(d.retryAt) {
			d.start()
		}
		d.mu.Unlock()
		return v, nil
	}
	if d.flight == nil && now.Before(d.retryAt) {
		err := d.failed
		d.mu.Unlock()
		var zero T
		return zero, err
	}
	return d.wait(ctx, d.start())
}

// Renew fetches the document because the copy lacks something, if that has not
// been done too often of late, and returns the copy.
func (d *Document[T]) Renew(ctx context.Context) (T, error) {
	d.mu.Lock()
	now := time.Now()
	if d.flight == nil {
		d.tokens = min(renewBurst, d.tokens+now.Sub(d.counted).Seconds()/renewEvery.Seconds())
		d.counted = now
		if d.tokens < 1 || now.Before(d.retryAt) {
			defer d.mu.Unlock()
			return d.copy(now, d.failed)
		}
		d.tokens--
	}
	return d.wait(ctx, d.start())
}

// wait joins a flight, which the caller began or found, and unlocks d.mu. If
// the flight fails an old copy will do.
func (d *Document[T]) wait(ctx context.Context, f *flight) (T, error) {
	d.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.copy(time.Now(), f.err)
}

// usable reports whether there is a copy that is not too old. d.mu is held.
func (d *Document[T]) usable(now time.Time) bool {
	return d.have && now.Sub(d.fetched) < maxStale+maxFresh
}

// copy returns the copy, or err if there is none to use. d.mu is held.
func (d *Document[T]) copy(now time.Time, err error) (T, error) {
	if d.usable(now) {
		return d.value, nil
	}
	var zero T
	return zero, err
}

// start begins a fetch unless one runs. d.mu is held.
func (d *Document[T]) start() *flight {
	if d.flight != nil {
		return d.flight
	}
	f := &flight{done: make(chan struct{})}
	ok := d.life.Go(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, d.timeout)
		defer cancel()
		v, fresh, err := d.fetch(ctx)
		d.finish(f, v, fresh, err)
	})
	if !ok {
		f.err = fault.Closed
		close(f.done)
		return f
	}
	d.flight = f
	return f
}

func (d *Document[T]) finish(f *flight, v T, fresh time.Duration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flight = nil
	now := time.Now()
	if err != nil {
		// The text only: what is wrong with a document is not a caller's fault.
		f.err = fault.Markf(fault.Unavailable, "%s: %v", conn.Redact(d.urls[0]), err)
		d.failed = f.err
		d.retryAt = now.Add(backoff.Policy{Min: retryMin, Max: retryMax}.Wait(d.failures)) // not all processes in step
		d.failures++
	} else {
		d.value, d.have, d.fetched = v, true, now
		d.failures, d.failed, d.retryAt = 0, nil, time.Time{}
		d.renewAt = now.Add(fresh - rand.N(fresh/10))
	}
	close(f.done)
}

func (d *Document[T]) fetch(ctx context.Context) (v T, fresh time.Duration, err error) {
	var errs []error
	for _, u := range d.urls {
		v, fresh, err = d.get(ctx, u)
		if err == nil {
			return v, fresh, nil
		}
		errs = append(errs, err)
	}
	return v, 0, fault.Join(errs...)
}

func (d *Document[T]) get(ctx context.Context, address string) (v T, fresh time.Duration, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return v, 0, err
	}
	r.Header.Set("Accept", "application/json")
	resp, err := d.client.Do(r)
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the address, which may hold a secret
	}
	if err != nil {
		return v, 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return v, 0, err
	case resp.StatusCode != http.StatusOK:
		return v, 0, fmt.Errorf("status %d%s", resp.StatusCode, conn.WantsTLS(resp.StatusCode, b))
	case len(b) > maxBody:
		return v, 0, fmt.Errorf("more than %d bytes", maxBody)
	}
	v, err = d.parse(b)
	return v, freshness(resp.Header.Get("Cache-Control")), err
}

// freshness is how long a copy is good, by what the server says, within limits.
func freshness(cacheControl string) time.Duration {
	fresh := time.Hour
	for part := range strings.SplitSeq(cacheControl, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if n, err := strconv.Atoi(value); err == nil && strings.EqualFold(name, "max-age") && n < int(maxFresh.Seconds()) {
			fresh = time.Duration(n) * time.Second
		}
	}
	return min(max(fresh, minFresh), maxFresh)
}
