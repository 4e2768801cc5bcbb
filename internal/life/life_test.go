package life_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/micro/go-platform/internal/life"
)

func TestCloseWaitsAndIsIdempotent(t *testing.T) {
	l, boom := life.New(), errors.New("boom")
	var ended, stopped atomic.Int32
	for range 10 {
		l.Go(func(ctx context.Context) { <-ctx.Done(); ended.Add(1) })
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := l.Close(func() error { stopped.Add(1); return boom }); err != boom {
				t.Errorf("Close = %v, want %v", err, boom)
			}
			if n := ended.Load(); n != 10 {
				t.Errorf("Close returned with %d of 10 goroutines ended", n)
			}
		})
	}
	wg.Wait()
	if n := stopped.Load(); n != 1 {
		t.Errorf("stop ran %d times, want once", n)
	}
	if l.Go(func(context.Context) { t.Error("ran after Close") }) || l.Enter() || !l.Closed() {
		t.Error("open after Close")
	}
}

func TestJoinEndsWithEither(t *testing.T) {
	l := life.New()
	caller, cancel := context.WithCancel(t.Context())
	a, releaseA := l.Join(caller)
	defer releaseA()
	cancel()
	<-a.Done()
	b, releaseB := l.Join(t.Context())
	defer releaseB()
	if b.Err() != nil {
		t.Fatal("ended before either")
	}
	c, releaseC := l.Join(t.Context())
	releaseC()
	if c.Err() == nil {
		t.Error("a context that was released goes on")
	}
	l.Close(nil)
	<-b.Done()
}
