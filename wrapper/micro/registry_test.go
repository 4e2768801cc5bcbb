package micro

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"go-micro.dev/v5/registry"

	"github.com/micro/go-platform/discovery"
)

// slowRegistry gives a watcher when it is told to.
type slowRegistry struct {
	registry.Registry
	asked, give chan struct{}
	watcher     *endless
}

func (r *slowRegistry) Watch(...registry.WatchOption) (registry.Watcher, error) {
	close(r.asked)
	<-r.give
	return r.watcher, nil
}

// endless is a watcher that sees nothing.
type endless struct{ stopped chan struct{} }

func (w *endless) Next() (*registry.Result, error) {
	<-w.stopped
	return nil, registry.ErrWatcherStopped
}
func (w *endless) Stop() { close(w.stopped) }

// A watcher that comes when nobody waits for it any more is stopped.
func TestAWatcherThatComesTooLateIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &slowRegistry{asked: make(chan struct{}), give: make(chan struct{}), watcher: &endless{make(chan struct{})}}
		ctx, leave := context.WithCancel(t.Context())
		go func() { <-r.asked; leave() }()
		err := reader{r}.Watch(ctx, "greeter", func(discovery.Update) { t.Error("instances of nobody") })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Watch = %v, want context.Canceled", err)
		}
		close(r.give)
		synctest.Wait()
		select {
		case <-r.watcher.stopped:
		default:
			t.Error("the watcher goes on")
		}
	})
}

// hotRegistry panics at what it is asked.
type hotRegistry struct{ registry.Registry }

func (hotRegistry) ListServices(...registry.ListOption) ([]*registry.Service, error) {
	panic("no list")
}
func (hotRegistry) GetService(string, ...registry.GetOption) ([]*registry.Service, error) {
	return nil, registry.ErrNotFound
}
func (hotRegistry) Watch(...registry.WatchOption) (registry.Watcher, error) { return hotWatcher{}, nil }

type hotWatcher struct{}

func (hotWatcher) Next() (*registry.Result, error) { panic("no next") }
func (hotWatcher) Stop()                           {}

func TestPanicsOfARegistryAreErrors(t *testing.T) {
	r := reader{hotRegistry{}}
	if err := r.Ping(t.Context()); !errors.Is(err, discovery.ErrUnavailable) {
		t.Errorf("Ping = %v, want ErrUnavailable", err)
	}
	if err := r.Watch(t.Context(), "greeter", func(discovery.Update) {}); !errors.Is(err, discovery.ErrUnavailable) {
		t.Errorf("Watch = %v, want ErrUnavailable", err)
	}
}
