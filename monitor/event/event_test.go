package event_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/monitor"
	monitorevent "github.com/micro/go-platform/monitor/event"
)

func TestMain(m *testing.M) { leak.Main(m) }

func newStream(t testing.TB) event.Stream {
	t.Helper()
	s, err := event.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func ExampleBackend() {
	ctx := context.Background()
	stream, err := event.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stream.Close(ctx)
	mo, err := monitor.New(monitorevent.Backend(stream), monitor.WithService("orders"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer mo.Close(ctx)
	for v := range mo.Cluster().Watch(ctx, "orders") {
		if v.Pass == 1 {
			fmt.Println(v.Service, "is seen")
			break
		}
	}
	// Output: orders is seen
}

func TestInstancesSeeEachOtherAndChangesAreEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := newStream(t)
		var changes []monitorevent.Change
		sub, err := stream.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error {
			var c monitorevent.Change
			if err := json.Unmarshal(r.Data, &c); err != nil {
				t.Error(err)
			}
			changes = append(changes, c)
			return nil
		}, event.Types(monitorevent.TypeChange))
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close(context.Background())
		start := func(id string) monitor.Monitor {
			mo, err := monitor.New(monitorevent.Backend(stream), monitor.WithInstance(monitor.Instance{ID: id, Service: "orders"}),
				monitor.WithOnChange(monitorevent.OnChange(stream, func(err error) { t.Error(err) })))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { mo.Close(context.Background()) })
			return mo
		}
		a, b := start("a"), start("b")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		seen := false
		for v := range a.Cluster().Watch(ctx, "orders") {
			if seen = v.Pass == 2; seen {
				break
			}
		}
		if !seen {
			t.Fatal("a does not see b")
		}
		b.SetPhase(monitor.Draining)
		synctest.Wait()
		if len(changes) != 1 || changes[0].Instance.ID != "b" || changes[0].Phase != monitor.Draining || changes[0].Ready {
			t.Errorf("got %+v, want one, of b", changes)
		}
	})
	if _, err := monitor.New(monitorevent.Backend(nil)); !errors.Is(err, monitor.ErrInvalid) {
		t.Errorf("nil stream: %v, want ErrInvalid", err)
	}
}
