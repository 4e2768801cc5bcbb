package event_test

import (
	"testing"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/eventtest"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestMemory(t *testing.T) {
	eventtest.Run(t, eventtest.Harness{Open: func(t testing.TB, opts ...event.Option) event.Stream {
		s, err := event.New(opts...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}})
}
