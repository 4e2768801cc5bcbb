package platform_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	gosync "sync"
	"testing"

	"github.com/micro/go-platform"
	"github.com/micro/go-platform/otlp"
)

// A service takes from the environment where its signals go, and is the same
// process in all three.
func TestTelemetryFromTheEnvironment(t *testing.T) {
	var mu gosync.Mutex
	got := map[string]string{}
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got[r.URL.Path] += string(b)
	}))
	defer collector.Close()
	for name, v := range map[string]string{
		"ENDPOINT": collector.URL, "PROTOCOL": "http/json", "COMPRESSION": "none",
	} {
		t.Setenv("OTEL_EXPORTER_OTLP_"+name, v)
	}
	for name, service := range map[string]string{"": "orders", "orders-canary": "orders-canary"} {
		clear(got)
		t.Setenv("OTEL_SERVICE_NAME", name)
		env, err := otlp.FromEnv()
		if err != nil {
			t.Fatal(err)
		}
		app, err := platform.New("orders", platform.WithVersion("1.2.3"), platform.WithInstance("i-17"), platform.WithTelemetry(env))
		if err != nil {
			t.Fatal(err)
		}
		_, span := app.Trace().Start(t.Context(), "x")
		span.End()
		app.Metrics().Counter("x").Inc()
		app.Logger("x").Info("x")
		if err := app.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/v1/traces", "/v1/metrics", "/v1/logs"} {
			for key, v := range map[string]string{"service.name": service, "service.version": "1.2.3", "service.instance.id": "i-17"} {
				resource, _, _ := strings.Cut(got[path][min(2, len(got[path])):], `"scope`) // behind Ping's {}
				if want := `{"key":"` + key + `","value":{"stringValue":"` + v + `"}}`; strings.Count(resource, want) != 1 {
					t.Errorf("%s: no %s in %.600s", path, want, got[path])
				}
			}
		}
	}
	if _, err := platform.New("orders", platform.WithTelemetry(nil)); !errors.Is(err, platform.ErrInvalid) {
		t.Errorf("nil telemetry: %v", err)
	}
}
