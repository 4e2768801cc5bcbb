package otel_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"go.opentelemetry.io/otel/trace/noop"

	"github.com/micro/go-platform/trace/otel"
)

// slow is a provider that takes its time to shut down.
type slow struct {
	noop.TracerProvider
	end chan struct{}
}

func (s slow) Shutdown(context.Context) error { <-s.end; return nil }

// A second Close returns when the provider is shut down, or its own context ends.
func TestCloseWaitsForAnotherClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := slow{end: make(chan struct{})}
		tr, err := otel.New(p)
		if err != nil {
			t.Fatal(err)
		}
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- tr.Close(t.Context()) }()
		synctest.Wait()
		go func() { second <- tr.Close(t.Context()) }()
		synctest.Wait()
		if len(first)+len(second) != 0 {
			t.Errorf("%d and %d have returned, want none before the provider is shut down", len(first), len(second))
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := tr.Close(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that has ended: %v", err)
		}
		close(p.end)
		if err := errors.Join(<-first, <-second, tr.Close(t.Context())); err != nil {
			t.Error(err)
		}
	})
}
