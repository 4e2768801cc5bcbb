package mutex_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/micro/go-platform/internal/mutex"
)

func TestOneHoldsItAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m mutex.Mutex
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for range 20 { // nobody holds it, and ctx has ended: neither comes first by chance
			if err := m.Lock(ended); !errors.Is(err, context.Canceled) {
				t.Fatalf("ctx has ended: %v, want Canceled", err)
			}
		}
		if err := m.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := m.Lock(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("waiting until ctx ends: %v, want Canceled", err)
		}
		took := false
		go func() {
			took = m.Lock(t.Context()) == nil
		}()
		synctest.Wait()
		if took {
			t.Fatal("two hold it")
		}
		m.Unlock()
		synctest.Wait()
		if !took {
			t.Error("nobody holds it after Unlock")
		}
		m.Unlock()
	})
}
