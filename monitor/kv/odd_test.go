package kv_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/monitor"
	monitorkv "github.com/micro/go-platform/monitor/kv"
)

// unwatched is a store that can't watch, and of which some calls fail for a time.
type unwatched struct {
	kv.KV
	fails []atomic.Pointer[string]
}

func (s unwatched) Features() kv.Features { f := s.KV.Features(); f.Watch = false; return f }
func (s unwatched) Watch(context.Context, string) iter.Seq2[kv.Event, error] {
	panic("it can't watch")
}

func (s unwatched) failing(call string) error {
	if f := s.fails[0].Load(); f != nil && *f == call {
		return errors.New(call + " failed")
	}
	return nil
}

func (s unwatched) Put(ctx context.Context, key string, value []byte, opts ...kv.PutOption) (kv.Revision, error) {
	if err := s.failing("put"); err != nil {
		return 0, err
	}
	return s.KV.Put(ctx, key, value, opts...)
}

func (s unwatched) List(ctx context.Context, prefix string, opts ...kv.ListOption) iter.Seq2[kv.Item, error] {
	if err := s.failing("list"); err != nil {
		return func(yield func(kv.Item, error) bool) { yield(kv.Item{}, err) }
	}
	return s.KV.List(ctx, prefix, opts...)
}

func (s unwatched) Get(ctx context.Context, key string, opts ...kv.GetOption) (kv.Item, error) {
	if err := s.failing("get"); err != nil {
		return kv.Item{}, err
	}
	return s.KV.Get(ctx, key, opts...)
}

// A store that can't watch is asked again and again, also after it has failed; what is in
// it and no report is passed over.
func TestStoresThatCanNotWatchAreAsked(t *testing.T) {
	for _, call := range []string{"", "put", "list"} {
		synctest.Test(t, func(t *testing.T) {
			memory, err := kv.New()
			if err != nil {
				t.Fatal(err)
			}
			defer memory.Close()
			for key, value := range map[string]string{"report/x/y": "no report", "report/": `"text"`, "another": "{}"} {
				if _, err := memory.Put(t.Context(), key, []byte(value)); err != nil {
					t.Fatal(err)
				}
			}
			store := unwatched{memory, make([]atomic.Pointer[string], 1)}
			lines := &strings.Builder{}
			logger := slog.New(slog.NewTextHandler(lines, nil))
			var all []monitor.Monitor
			for _, id := range []string{"a", "b"} {
				mo, err := monitor.New(monitorkv.Backend(store), monitor.WithInstance(monitor.Instance{ID: id, Service: "orders"}),
					monitor.WithInterval(time.Second), monitor.WithLogger(logger))
				if err != nil {
					t.Fatal(err)
				}
				defer mo.Close(context.WithoutCancel(t.Context()))
				all = append(all, mo)
			}
			both := func(when string) {
				t.Helper()
				time.Sleep(time.Minute)
				for i, mo := range all {
					if v := mo.Cluster().View("orders"); v.Pass != 2 {
						t.Errorf("%q fails, %s: monitor %d sees %+v", call, when, i, v)
					}
				}
			}
			both("before")
			store.fails[0].Store(&call)
			time.Sleep(time.Minute)
			store.fails[0].Store(nil)
			both("after")
			synctest.Wait()
			if said := strings.Contains(lines.String(), call+" failed"); call != "" && !said {
				t.Errorf("%q fails: the log says %s", call, lines)
			}
		})
	}
}

// A store that does not answer is said by New.
func TestAStoreThatDoesNotAnswer(t *testing.T) {
	memory, err := kv.New()
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	call := "get"
	store := unwatched{memory, make([]atomic.Pointer[string], 1)}
	store.fails[0].Store(&call)
	if mo, err := monitor.New(monitorkv.Backend(store)); mo != nil || !errors.Is(err, monitor.ErrUnavailable) || !strings.Contains(err.Error(), "store: get failed") {
		t.Errorf("%v, %v", mo, err)
	}
}

// unlisted is a store that can't list.
type unlisted struct{ kv.KV }

func (s unlisted) Features() kv.Features { f := s.KV.Features(); f.List = false; return f }

func TestStoresThatAreRefused(t *testing.T) {
	memory, err := kv.New()
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	var none *unlisted
	for name, c := range map[string]struct {
		store kv.KV
		want  error
	}{
		"can't list": {unlisted{memory}, kv.ErrUnsupported}, "nil": {nil, monitor.ErrInvalid}, "a nil pointer": {none, monitor.ErrInvalid}, "well": {memory, nil},
	} {
		mo, err := monitor.New(monitorkv.Backend(c.store))
		if !errors.Is(err, c.want) || (mo == nil) != (c.want != nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if mo != nil {
			_ = mo.Close(t.Context())
		}
	}
}
