package gocloud

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/config"
	configconsul "github.com/micro/go-platform/config/consul"
	configetcd "github.com/micro/go-platform/config/etcd"
	configfile "github.com/micro/go-platform/config/file"
	configkv "github.com/micro/go-platform/config/kv"
	configurl "github.com/micro/go-platform/config/url"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	clientv3 "go.etcd.io/etcd/client/v3"
	"gocloud.dev/gcerrors"
	"gocloud.dev/runtimevar"
	"gocloud.dev/runtimevar/driver"
	"gocloud.dev/runtimevar/drivertest"
)

// TestRuntimevar is Go CDK's suite. A variable is what a source holds, as bytes:
// config's own formats, layers and checks come after that. A source without a watch
// is polled, as config does.
func TestRuntimevar(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) variables{
		"file": files, "etcd": etcd, "consul": consul, "kv": store, "url": pages,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := open(t)
			drivertest.RunConformanceTests(t, func(*testing.T) (drivertest.Harness, error) { return v, nil }, nil)
		})
	}
}

// variables are the variables of one kind of source.
type variables struct {
	source func(name string) config.Source
	set    func(ctx context.Context, name string, value []byte) error
	remove func(ctx context.Context, name string) error
}

func files(t *testing.T) variables {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	return variables{
		func(name string) config.Source { return configfile.Source(at(name)) },
		func(_ context.Context, name string, value []byte) error { return os.WriteFile(at(name), value, 0o600) },
		func(_ context.Context, name string) error { return os.Remove(at(name)) },
	}
}

func etcd(t *testing.T) variables {
	addr := servertest.SharedEtcd(t).Addr()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return variables{
		func(name string) config.Source { return configetcd.Source(addr, name) },
		func(ctx context.Context, name string, value []byte) error {
			_, err := client.Put(ctx, name, string(value))
			return err
		},
		func(ctx context.Context, name string) error { _, err := client.Delete(ctx, name); return err },
	}
}

func consul(t *testing.T) variables {
	addr := servertest.SharedConsul(t).Addr()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client, err := api.NewClient(&api.Config{Address: addr, HttpClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	return variables{
		func(name string) config.Source { return configconsul.Source(addr, name) },
		func(_ context.Context, name string, value []byte) error {
			_, err := client.KV().Put(&api.KVPair{Key: name, Value: value}, nil)
			return err
		},
		func(_ context.Context, name string) error { _, err := client.KV().Delete(name, nil); return err },
	}
}

func store(t *testing.T) variables {
	s, err := kv.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return variables{
		func(name string) config.Source { return configkv.Source(s, name) },
		func(ctx context.Context, name string, value []byte) error {
			_, err := s.Put(ctx, name, value)
			return err
		},
		func(ctx context.Context, name string) error { return s.Delete(ctx, name) },
	}
}

func pages(t *testing.T) variables {
	var all sync.Map
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		value, ok := all.Load(r.URL.Path[1:])
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(value.([]byte))
	}))
	t.Cleanup(server.Close)
	return variables{
		func(name string) config.Source { return configurl.Source(server.URL + "/" + name) },
		func(_ context.Context, name string, value []byte) error { all.Store(name, value); return nil },
		func(_ context.Context, name string) error { all.Delete(name); return nil },
	}
}

func (v variables) MakeWatcher(ctx context.Context, name string, decoder *runtimevar.Decoder) (driver.Watcher, error) {
	source := v.source(name)
	if o, ok := source.(config.Opener); ok {
		if err := o.Open(ctx); err != nil {
			return nil, err
		}
	}
	life, end := context.WithCancel(context.Background())
	w := &watcher{source: source, decoder: decoder, end: end, changed: make(chan struct{})}
	w.done.Go(func() { w.watch(life) })
	return w, nil
}

func (v variables) CreateVariable(ctx context.Context, name string, value []byte) error {
	return v.set(ctx, name, value)
}

func (v variables) UpdateVariable(ctx context.Context, name string, value []byte) error {
	return v.set(ctx, name, value)
}

func (v variables) DeleteVariable(ctx context.Context, name string) error { return v.remove(ctx, name) }
func (v variables) Close()                                                {}
func (v variables) Mutable() bool                                         { return true }

// watcher keeps the newest state of a source.
type watcher struct {
	source  config.Source
	decoder *runtimevar.Decoder
	end     context.CancelFunc
	done    sync.WaitGroup

	mu      sync.Mutex
	newest  *state
	changed chan struct{} // is closed when there is a new one
}

type state struct {
	value any
	err   error
	bytes string
	at    time.Time
}

func (s *state) Value() (any, error)   { return s.value, s.err }
func (s *state) UpdateTime() time.Time { return s.at }
func (s *state) As(any) bool           { return false }

// same reports whether nobody could tell two states apart.
func (s *state) same(o *state) bool {
	if s.err != nil || o.err != nil {
		return s.err != nil && o.err != nil && s.err.Error() == o.err.Error()
	}
	return s.bytes == o.bytes
}

func (w *watcher) watch(life context.Context) {
	watching, ok := w.source.(config.Watcher)
	for life.Err() == nil {
		if ok {
			if err := watching.Watch(life, func(c config.Content, err error) { w.deliver(life, c, err) }); err != nil && life.Err() == nil {
				w.deliver(life, config.Content{}, err)
			}
		} else {
			c, err := w.source.Read(life)
			w.deliver(life, c, err)
		}
		select {
		case <-life.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (w *watcher) deliver(ctx context.Context, c config.Content, err error) {
	if ctx.Err() != nil {
		return
	}
	s := &state{err: err, at: time.Now()}
	if err == nil {
		for _, p := range c.Parts {
			s.bytes += string(p.Data)
		}
		s.value, s.err = w.decoder.Decode(ctx, []byte(s.bytes))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.newest == nil || !w.newest.same(s) {
		w.newest = s
		close(w.changed)
		w.changed = make(chan struct{})
	}
}

func (w *watcher) WatchVariable(ctx context.Context, before driver.State) (driver.State, time.Duration) {
	for {
		w.mu.Lock()
		newest, changed := w.newest, w.changed
		w.mu.Unlock()
		if newest != nil && driver.State(newest) != before {
			return newest, 0
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return &state{err: ctx.Err(), at: time.Now()}, 0
		}
	}
}

func (w *watcher) Close() error {
	w.end()
	w.done.Wait()
	if c, ok := w.source.(config.Closer); ok {
		return c.Close()
	}
	return nil
}

func (w *watcher) ErrorAs(error, any) bool { return false }

func (w *watcher) ErrorCode(err error) gcerrors.ErrorCode {
	switch {
	case errors.Is(err, config.ErrNotFound):
		return gcerrors.NotFound
	case errors.Is(err, context.DeadlineExceeded):
		return gcerrors.DeadlineExceeded
	}
	return gcerrors.Unknown
}
