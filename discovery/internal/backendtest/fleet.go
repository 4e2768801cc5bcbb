package backendtest

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/netfault"
)

// Fleet registers instances of 100 services from one process, follows all of
// them, and 400 services that nobody registered, from another one, and has some
// change. Neither may open more than a
// number of connections, and nobody may write to standard error. How long each
// step took stands in the log.
func (b Backend) Fleet(t *testing.T, addr string, instances, connections int) {
	const services, unknown, changes = 100, 400, 20
	stderr := capture(t)
	namespace := name()
	to, from := netfault.New(t, addr), netfault.New(t, addr)
	open := func(p *netfault.Proxy) discovery.Discovery {
		d, err := discovery.New(b.Open(p.Addr()), discovery.WithNamespace(namespace), discovery.WithTimeout(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	}
	service := func(i int) string { return fmt.Sprintf("service-%02d", i%services) }
	writer, reader := open(to), open(from)

	began := time.Now()
	var wg sync.WaitGroup
	// A busy machine takes longer for all at once than a request may, and each that
	// is given up costs its connection.
	some := make(chan struct{}, 200)
	for i := range instances {
		wg.Go(func() {
			some <- struct{}{}
			defer func() { <-some }()
			_, err := writer.Register(t.Context(), discovery.Instance{Service: service(i), ID: fmt.Sprint("i-", i), Address: "10.0.0.7:8080"}, discovery.TTL(time.Minute))
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	stop(t)
	registered := time.Since(began)

	began = time.Now()
	for i := range services {
		wg.Go(func() {
			s, err := reader.Get(t.Context(), service(i))
			// A busy registry may be given up for a moment; it has to settle all the same.
			if err != nil && !errors.Is(err, discovery.ErrUnavailable) || len(s.Instances) > instances/services {
				t.Errorf("%d of %d instances, %v", len(s.Instances), instances/services, err)
			}
			settle(t, reader, service(i), instances/services)
		})
	}
	for i := range unknown {
		wg.Go(func() { settle(t, reader, fmt.Sprint("unknown-", i), 0) })
	}
	wg.Wait()
	stop(t)
	synced := time.Since(began)

	var delays []time.Duration
	for i := range changes {
		in := discovery.Instance{Service: service(i * 7), ID: "late", Address: "10.0.0.7:8080"}
		began := time.Now()
		r, err := writer.Register(t.Context(), in, discovery.TTL(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		settle(t, reader, in.Service, instances/services+1)
		stop(t)
		delays = append(delays, time.Since(began))
		if err := r.Deregister(t.Context()); err != nil {
			t.Fatal(err)
		}
		settle(t, reader, in.Service, instances/services)
		stop(t)
	}
	slices.Sort(delays)
	w, r := to.Counts().Accepted, from.Counts().Accepted
	t.Logf("registered in %v, first synchronised in %v, a change seen in %v (%v at most); %d and %d connections",
		registered.Round(time.Millisecond), synced.Round(time.Millisecond), delays[changes/2].Round(time.Millisecond), delays[changes-1].Round(time.Millisecond), w, r)
	if w > connections || r > connections {
		t.Errorf("%d connections of the writer and %d of the reader, want at most %d", w, r, connections)
	}
	if text := stderr(); text != "" {
		t.Errorf("on standard error: %s", text)
	}
}

// stop ends a test that has failed: where one step did not come to its end, each
// further one would take as long as it may.
func stop(t *testing.T) {
	t.Helper()
	if t.Failed() {
		t.FailNow()
	}
}

// settle waits until a service has a number of live instances.
func settle(t *testing.T, d discovery.Discovery, service string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var last discovery.Snapshot
	for s, err := range d.Watch(ctx, service) {
		if err != nil {
			t.Errorf("%s has %d instances, want %d: %v", service, len(last.Instances), n, err)
			return
		}
		last = s
		if len(s.Instances) == n && s.State == discovery.Live && s.Unconfirmed == 0 {
			return
		}
	}
}

// capture collects what the process writes to standard error, by the log
// package too, until the function that it returns is called.
func capture(t *testing.T) func() string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "stderr")
	if err != nil {
		t.Fatal(err)
	}
	real := os.Stderr
	os.Stderr = f
	log.SetOutput(f)
	restore := sync.OnceFunc(func() { os.Stderr = real; log.SetOutput(real); f.Close() })
	t.Cleanup(restore)
	return func() string {
		restore()
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
}
