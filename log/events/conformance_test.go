package events_test

import (
	"context"
	"testing"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/log/events"
	"github.com/micro/go-platform/log/logtest"
)

func TestConformance(t *testing.T) {
	logtest.Run(t, logtest.Harness{Output: func(t testing.TB) (log.Option, func() []string) {
		s, err := event.New()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close(context.Background()) })
		return events.Backend(s, "suite"), func() (all []string) {
			for r, err := range s.Query(context.Background()) {
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, string(r.Data))
			}
			return all
		}
	}})
}
