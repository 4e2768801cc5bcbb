package platform_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/micro/go-platform"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/metrics"
)

// What the parts of a service do is measured without a word about it.
func TestPartsAreMeasured(t *testing.T) {
	app, err := platform.New("orders")
	if err != nil {
		t.Fatal(err)
	}
	handled := make(chan bool)
	table, err1 := app.DB().Table(t.Context(), "orders")
	_, err2 := app.KV().Put(t.Context(), "orders/1", []byte("paid"))
	lock, err3 := app.Sync().Lock(t.Context(), "orders/1")
	_, err4 := app.Event().Subscribe(t.Context(), func(context.Context, *event.Record) error { handled <- true; return nil }, event.Group("billing"))
	err5 := app.Event().Publish(t.Context(), &event.Record{Type: "order.created"})
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		t.Fatal(err)
	}
	if _, err := table.Count(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-handled
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	if _, err := app.Discovery().Register(t.Context(), discovery.Instance{Service: "web", Address: strings.TrimPrefix(web.URL, "http://")}); err != nil {
		t.Fatal(err)
	}
	resp, err := app.Client().Get("http://web/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	snap := app.Metrics().Snapshot()
	for _, want := range []struct {
		name   string
		labels []metrics.Label
		value  float64 // of a gauge; -1: any
	}{
		{"db.client.operation.duration", []metrics.Label{{Key: "db.system.name", Value: "memory"}, {Key: "db.operation.name", Value: "put"}}, -1},
		{"db.client.operation.duration", []metrics.Label{{Key: "db.system.name", Value: "memory"}, {Key: "db.collection.name", Value: "orders"}, {Key: "db.operation.name", Value: "count"}}, -1},
		{"platform.lock.acquire.duration", []metrics.Label{{Key: "db.system.name", Value: "memory"}}, -1},
		{"platform.lock.held", []metrics.Label{{Key: "platform.lock.kind", Value: "lock"}}, 1},
		{"messaging.client.sent.messages", []metrics.Label{{Key: "messaging.system", Value: "memory"}}, 1},
		{"messaging.client.consumed.messages", []metrics.Label{{Key: "messaging.consumer.group.name", Value: "billing"}}, 1},
		{"platform.messaging.lag", []metrics.Label{{Key: "messaging.consumer.group.name", Value: "billing"}, {Key: "platform.state", Value: "behind"}}, 0},
		{"platform.config.status", nil, 1},
		{"platform.router.instances", []metrics.Label{{Key: "server.address", Value: "web"}, {Key: "platform.instance.state", Value: "in_rotation"}}, 1},
		{"platform.discovery.status", []metrics.Label{{Key: "server.address", Value: "web"}}, 1},
		{"go_goroutines", nil, -1},
	} {
		found := snap.Match(want.name, want.labels...)
		if len(found) != 1 || want.value >= 0 && found[0].Value != want.value {
			t.Errorf("%s of %v: %+v, want one, of %v", want.name, want.labels, found, want.value)
		}
	}
	if err := errors.Join(lock.Unlock(t.Context()), app.Close(t.Context()), app.Close(t.Context())); err != nil {
		t.Error(err)
	}
}
