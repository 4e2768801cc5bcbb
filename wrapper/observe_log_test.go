package wrapper_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/wrapper"
)

// What a record says of a call has the names of the conventions, and what a
// caller chose is cut in it.
func TestAttributesOfLogRecords(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("boom") })
	web := func(method, path string) func(*wrapper.Wrapper) {
		return func(w *wrapper.Wrapper) {
			w.Handler(mux).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, nil))
		}
	}
	call := func(c wrapper.Call) func(*wrapper.Wrapper) {
		return func(w *wrapper.Wrapper) {
			c.Header, c.Start = nil, time.Now()
			if c.Side == wrapper.Client {
				w.Adapter().Observed(w.Adapter().Observe(context.Background(), &c), &c)
				return
			}
			ctx, err := w.Begin(context.Background(), &c)
			if err != nil {
				t.Error(err)
			}
			w.End(ctx, &c)
		}
	}
	for name, c := range map[string]struct {
		do   func(*wrapper.Wrapper)
		want map[string]any // beside those that all have
	}{
		"HTTP": {web("GET", "/users/17?token=s3cret"), map[string]any{"msg": "served", "http.request.method": "GET", "url.path": "/users/17", "http.route": "/users/{id}",
			"http.response.status_code": 200., "outcome": "ok"}},
		"HTTP without a route": {web("BREW", "/"+strings.Repeat("x", 5000)), map[string]any{"msg": "served", "http.request.method": "_OTHER", "url.path": "/" + strings.Repeat("x", 511),
			"http.response.status_code": 404., "outcome": "client_error"}},
		"panic": {web("GET", "/panic"), map[string]any{"msg": "served", "http.request.method": "GET", "url.path": "/panic", "http.route": "/panic",
			"http.response.status_code": 500., "outcome": "server_error", "error.type": "panic", "exception.message": "boom", "exception.stacktrace": nil}},
		"gRPC": {call(wrapper.Call{Side: wrapper.Server, Protocol: "grpc", Method: "/a.B/C", Status: 13, Class: 2, Err: errors.New("no")}), map[string]any{"msg": "served",
			"rpc.method": "a.B/C", "rpc.response.status_code": "INTERNAL", "outcome": "server_error", "error.type": "INTERNAL", "error": "no"}},
		"gRPC client": {call(wrapper.Call{Side: wrapper.Client, Protocol: "grpc", Service: "b:80", Method: "/a.B/C", Attempts: 2}), map[string]any{"msg": "called",
			"rpc.method": "a.B/C", "rpc.response.status_code": "OK", "outcome": "ok", "server.address": "b", "server.port": "80", "attempts": 2.}},
		"message": {call(wrapper.Call{Side: wrapper.Server, Protocol: "event", Message: true, Method: "order.created", Attempts: 3}), map[string]any{"msg": "consumed",
			"messaging.operation.name": "process", "messaging.destination.name": "order.created", "outcome": "ok", "attempts": 3.}},
		"database": {call(wrapper.Call{Side: wrapper.Client, Protocol: "db", System: "redis", Service: "redis", Method: "read orders", Action: "read", Resource: "orders"}), map[string]any{"msg": "called",
			"db.system.name": "redis", "db.operation.name": "read", "db.collection.name": "orders", "outcome": "ok"}},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			lg, err := log.New(log.ToWriter(&b, log.JSON()), log.WithLevel("", slog.LevelInfo))
			if err != nil {
				t.Fatal(err)
			}
			w := newWrapper(t, wrapper.WithLog(lg), wrapper.WithAccessLog(slog.LevelInfo))
			c.do(w)
			if err := w.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			got := map[string]any{}
			if err := json.NewDecoder(io.LimitReader(strings.NewReader(b.String()), 1<<20)).Decode(&got); err != nil {
				t.Fatalf("%v in %s", err, b.String())
			}
			for k, v := range c.want {
				if have, ok := got[k]; !ok || v != nil && have != v {
					t.Errorf("%s = %v, want %v", k, have, v)
				}
				delete(got, k)
			}
			for _, k := range []string{"time", "level", "logger", "took", "request_id"} {
				delete(got, k)
			}
			if len(got) > 0 {
				t.Errorf("and beside them %q", slices.Sorted(maps.Keys(got)))
			}
		})
	}
}
