package main

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/config/store"
)

// flaky is a store that does not say its history so often.
type flaky struct {
	store.Store
	failures atomic.Int64
}

func (f *flaky) History(ctx context.Context, q store.Query) iter.Seq2[store.Version, error] {
	if f.failures.Add(-1) >= 0 {
		return func(yield func(store.Version, error) bool) {
			yield(store.Version{}, fmt.Errorf("no answer: %w", store.ErrUnavailable))
		}
	}
	return f.Store.History(ctx, q)
}

// A version that is made while the store does not answer is printed when it does,
// without another change.
func TestConfigWatchLeavesOutNoVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, err := store.New()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := memory.Put(t.Context(), "shop", map[string]any{"a": 1}, store.Author("ann")); err != nil {
			t.Fatal(err)
		}
		st := &flaky{Store: memory}
		var out, said output
		io := streams{in: strings.NewReader(""), out: &out, err: &said, env: func(string) string { return "" }}
		w := &documentWatch{c: &call{streams: io}, st: st, name: "shop"}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		ended := make(chan error, 1)
		go func() { ended <- w.follow(ctx) }()
		synctest.Wait()
		st.failures.Store(2)
		if _, err := memory.Set(t.Context(), "shop", "a", 2, store.Author("bob")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "\t2\tbob\t") {
			t.Errorf("got %q, want both versions", got)
		}
		if got := said.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "; waiting\n") {
			t.Errorf("it says %q, want once that it waits", got)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := memory.Close(); err != nil {
			t.Error(err)
		}
	})
}
