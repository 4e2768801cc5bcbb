package wrapper_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// observe begins and ends a call as an adapter does.
func observe(w *wrapper.Wrapper, c wrapper.Call) {
	c.Start = time.Now()
	if c.Header == nil {
		c.Header = trace.Header{}
	}
	if c.Side == wrapper.Client {
		w.Adapter().Observed(w.Adapter().Observe(context.Background(), &c), &c)
		return
	}
	class, err := c.Class, c.Err
	ctx, refused := w.Begin(context.Background(), &c)
	if refused == nil {
		c.Class, c.Err = class, err
	}
	w.End(ctx, &c)
}

// What a span, a line of the log and the metrics say of a call: all of it.
func TestWhatIsSaidOfACall(t *testing.T) {
	const server, client = wrapper.Server, wrapper.Client
	header := func(authority string) trace.Carrier { return trace.Header{":authority": {authority}} }
	in := &discovery.Instance{ID: "i1", Address: "10.0.0.1:80"}
	for name, c := range map[string]struct {
		call   wrapper.Call
		span   string // name: tags, sorted
		failed string // the span's error
		log    string // level, message and what else there is beside took and the id
		series string // metric{labels}
	}{
		"grpc served": {wrapper.Call{Side: server, Protocol: "grpc", Method: "/a.B/C", Action: "/a.B/C", Header: header("b:80"), Peer: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 9), Port: 5}},
			"a.B/C: client.address=10.0.0.9 rpc.method=a.B/C rpc.response.status_code=OK rpc.system.name=grpc server.address=b server.port=80", "",
			"DEBUG served outcome=ok rpc.method=a.B/C rpc.response.status_code=OK", "rpc.server.call.duration{grpc a.B/C OK }"},
		"grpc not found": {wrapper.Call{Side: server, Protocol: "grpc", Method: "/a.B/C", Action: "/a.B/C", Header: header("b"), Class: router.ClientError, Status: 5},
			"a.B/C: platform.outcome=client_error rpc.method=a.B/C rpc.response.status_code=NOT_FOUND rpc.system.name=grpc server.address=b", "",
			"DEBUG served outcome=client_error rpc.method=a.B/C rpc.response.status_code=NOT_FOUND", "rpc.server.call.duration{grpc a.B/C NOT_FOUND }"},
		"grpc unavailable": {wrapper.Call{Side: server, Protocol: "grpc", Method: "/a.B/C", Action: "/a.B/C", Header: header("b"), Class: router.Overload, Status: 14},
			"a.B/C: error.type=UNAVAILABLE platform.outcome=overload rpc.method=a.B/C rpc.response.status_code=UNAVAILABLE rpc.system.name=grpc server.address=b", "status 14",
			"WARN served error.type=UNAVAILABLE outcome=overload rpc.method=a.B/C rpc.response.status_code=UNAVAILABLE", "rpc.server.call.duration{grpc a.B/C UNAVAILABLE UNAVAILABLE}"},
		"grpc of an unknown code": {wrapper.Call{Side: server, Protocol: "grpc", Method: "/a.B/C", Action: "/a.B/C", Header: header("b"), Class: router.ServerError, Status: 17},
			"a.B/C: error.type=CODE(17) platform.outcome=server_error rpc.method=a.B/C rpc.response.status_code=CODE(17) rpc.system.name=grpc server.address=b", "status 17",
			"ERROR served error.type=CODE(17) outcome=server_error rpc.method=a.B/C rpc.response.status_code=CODE(17)", "rpc.server.call.duration{grpc a.B/C CODE(17) CODE(17)}"},
		"grpc of the last code": {wrapper.Call{Side: server, Protocol: "grpc", Method: "/a.B/C", Action: "/a.B/C", Header: header("b"), Class: router.ClientError, Status: 16},
			"a.B/C: platform.outcome=client_error rpc.method=a.B/C rpc.response.status_code=UNAUTHENTICATED rpc.system.name=grpc server.address=b", "",
			"DEBUG served outcome=client_error rpc.method=a.B/C rpc.response.status_code=UNAUTHENTICATED", "rpc.server.call.duration{grpc a.B/C UNAUTHENTICATED }"},
		"grpc of a strange method": {wrapper.Call{Side: server, Protocol: "grpc", Method: "_OTHER", Action: "/x.Y/Z", Header: header("b")},
			"grpc: rpc.method=_OTHER rpc.method_original=/x.Y/Z rpc.response.status_code=OK rpc.system.name=grpc server.address=b", "",
			"DEBUG served outcome=ok rpc.method=_OTHER rpc.response.status_code=OK", "rpc.server.call.duration{grpc _OTHER OK }"},
		"grpc called": {wrapper.Call{Side: client, Protocol: "grpc", Service: "[::1]:80", Method: "/a.B/C", Attempts: 2, Instance: in, Class: router.ClientError, Status: 5},
			"a.B/C: error.type=NOT_FOUND platform.attempts=2 platform.instance.id=i1 platform.outcome=client_error rpc.method=a.B/C rpc.response.status_code=NOT_FOUND rpc.system.name=grpc server.address=::1 server.port=80", "status 5",
			"DEBUG called attempts=2 error.type=NOT_FOUND instance=i1 outcome=client_error rpc.method=a.B/C rpc.response.status_code=NOT_FOUND server.address=::1 server.port=80", "rpc.client.call.duration{grpc a.B/C ::1 80 NOT_FOUND NOT_FOUND}"},
		"grpc cancelled": {wrapper.Call{Side: client, Protocol: "grpc", Service: "::1", Method: "/a.B/C", Attempts: 1, Class: router.Cancelled, Status: 1, Err: context.Canceled},
			"a.B/C: platform.outcome=cancelled rpc.method=a.B/C rpc.response.status_code=CANCELLED rpc.system.name=grpc server.address=::1", "",
			"DEBUG called attempts=1 error=context canceled outcome=cancelled rpc.method=a.B/C rpc.response.status_code=CANCELLED server.address=::1", "rpc.client.call.duration{grpc a.B/C ::1  CANCELLED }"},
		"no instance": {wrapper.Call{Side: client, Protocol: "grpc", Service: "b", Method: "/a.B/C", Class: router.Unsent, Err: router.ErrNoInstances},
			"a.B/C: error.type=unsent platform.outcome=unsent rpc.method=a.B/C rpc.response.status_code=OK rpc.system.name=grpc server.address=b", router.ErrNoInstances.Error(),
			"WARN called attempts=0 error.type=unsent error=" + router.ErrNoInstances.Error() + " outcome=unsent rpc.method=a.B/C rpc.response.status_code=OK server.address=b", "platform.client.refusals{b  no_instance} rpc.client.call.duration{grpc a.B/C b  OK unsent}"},
		"micro": {wrapper.Call{Side: client, Protocol: "micro", Service: "b", Method: "A.B", Attempts: 1, Class: router.ClientError, Status: 404},
			"A.B: error.type=404 platform.outcome=client_error rpc.method=A.B rpc.response.status_code=404 rpc.system.name=go-micro server.address=b", "status 404",
			"DEBUG called attempts=1 error.type=404 outcome=client_error rpc.method=A.B rpc.response.status_code=404 server.address=b", "rpc.client.call.duration{go-micro A.B b  404 404}"},
		"micro served": {wrapper.Call{Side: server, Protocol: "micro", Method: "A.B", Class: router.ServerError, Status: 500, Attempts: 2},
			"A.B: error.type=500 platform.attempts=2 platform.outcome=server_error rpc.method=A.B rpc.response.status_code=500 rpc.system.name=go-micro", "status 500",
			"ERROR served attempts=2 error.type=500 outcome=server_error rpc.method=A.B rpc.response.status_code=500", "rpc.server.call.duration{go-micro A.B 500 500}"},
		"its caller's fault": {wrapper.Call{Side: server, Protocol: "micro", Method: "A.B", Class: router.ClientError, Status: 400},
			"A.B: platform.outcome=client_error rpc.method=A.B rpc.response.status_code=400 rpc.system.name=go-micro", "",
			"DEBUG served outcome=client_error rpc.method=A.B rpc.response.status_code=400", "rpc.server.call.duration{go-micro A.B 400 }"},
		"panic": {wrapper.Call{Side: server, Protocol: "micro", Method: "A.B", Class: router.Cancelled, Panic: "boom", Stack: []byte("here")},
			"A.B: error.type=panic platform.outcome=cancelled rpc.method=A.B rpc.system.name=go-micro", "panic: boom",
			"ERROR served error.type=panic exception.message=boom exception.stacktrace=here outcome=cancelled rpc.method=A.B", "rpc.server.call.duration{go-micro A.B  panic}"},
		"late": {wrapper.Call{Side: server, Protocol: "micro", Method: "/A.B", Late: true, Class: router.Timeout},
			"A.B: error.type=timeout platform.outcome=timeout rpc.method=A.B rpc.system.name=go-micro", "timeout",
			"WARN served error.type=timeout late=true outcome=timeout rpc.method=A.B", "platform.server.late{  A.B} rpc.server.call.duration{go-micro A.B  timeout}"},
		"published": {wrapper.Call{Side: client, Protocol: "event", Message: true, Method: "orders", Messages: 3, System: "nats"},
			"publish orders: messaging.batch.message_count=3 messaging.destination.name=orders messaging.operation.name=publish messaging.operation.type=send messaging.system=nats", "",
			"DEBUG published attempts=0 messaging.destination.name=orders messaging.operation.name=publish outcome=ok server.address=", "messaging.client.operation.duration{nats publish send orders } messaging.client.sent.messages{nats publish orders }"},
		"not published": {wrapper.Call{Side: client, Protocol: "event", Message: true, Method: "orders", Messages: 1, Class: router.Unsent, Err: errors.New("no")},
			"publish orders: error.type=unsent messaging.destination.name=orders messaging.operation.name=publish messaging.operation.type=send messaging.system=_OTHER platform.outcome=unsent", "no",
			"WARN published attempts=0 error.type=unsent error=no messaging.destination.name=orders messaging.operation.name=publish outcome=unsent server.address=", "messaging.client.operation.duration{_OTHER publish send orders unsent}"},
		"consumed": {wrapper.Call{Side: server, Protocol: "event", Message: true, Method: "orders", Group: "g", MessageID: "m1", Attempts: 2, Class: router.ServerError, Err: errors.New("no")},
			"process orders: error.type=server_error messaging.consumer.group.name=g messaging.destination.name=orders messaging.message.id=m1 messaging.operation.name=process messaging.operation.type=process messaging.system=_OTHER platform.delivery.attempt=2 platform.outcome=server_error", "no",
			"ERROR consumed attempts=2 error.type=server_error error=no messaging.destination.name=orders messaging.operation.name=process outcome=server_error", "messaging.client.consumed.messages{_OTHER process orders g} messaging.process.duration{_OTHER process orders g server_error}"},
		"consumed at once": {wrapper.Call{Side: server, Protocol: "event", Message: true, Method: "orders"},
			"process orders: messaging.destination.name=orders messaging.operation.name=process messaging.operation.type=process messaging.system=_OTHER platform.delivery.attempt=1", "",
			"DEBUG consumed messaging.destination.name=orders messaging.operation.name=process outcome=ok", "messaging.client.consumed.messages{_OTHER process orders } messaging.process.duration{_OTHER process orders  }"},
		"database": {wrapper.Call{Side: client, Protocol: "db", System: "redis", Service: "redis", Method: "read orders", Action: "read", Resource: "orders", Messages: 2, Class: router.Timeout, Err: context.DeadlineExceeded},
			"read orders: db.collection.name=orders db.operation.batch.size=2 db.operation.name=read db.system.name=redis error.type=timeout platform.outcome=timeout", "context deadline exceeded",
			"WARN called db.collection.name=orders db.operation.name=read db.system.name=redis error.type=timeout error=context deadline exceeded outcome=timeout", "db.client.operation.duration{redis read orders timeout}"},
		"database without a collection": {wrapper.Call{Side: client, Protocol: "db", System: "redis", Service: "redis", Method: "ping", Action: "ping", Messages: 1},
			"ping: db.operation.name=ping db.system.name=redis", "", "DEBUG called db.operation.name=ping db.system.name=redis outcome=ok", "db.client.operation.duration{redis ping  }"},
		"lock": {wrapper.Call{Side: client, Protocol: "lock", System: "etcd", Service: "etcd", Method: "acquire", Action: "acquire", Resource: "jobs"},
			"acquire: db.system.name=etcd platform.lock.id=jobs platform.lock.operation=acquire", "", "DEBUG called db.system.name=etcd outcome=ok platform.lock.operation=acquire", "platform.lock.acquire.duration{etcd acquire }"},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			lg, err := log.New(log.ToWriter(&b, log.JSON()), log.WithLevel("", slog.LevelDebug))
			if err != nil {
				t.Fatal(err)
			}
			w, spans, m := observed(t, wrapper.WithLog(lg), wrapper.WithSlow(time.Hour))
			observe(w, c.call)
			var tags []string
			s := spans()[0]
			for _, one := range s.Tags {
				tags = append(tags, one.Key+"="+one.Value.String())
			}
			slices.Sort(tags)
			if got := s.Name + ": " + strings.Join(tags, " "); got != c.span {
				t.Errorf("the span is\n%s, want\n%s", got, c.span)
			}
			if s.Err != c.failed {
				t.Errorf("the span's error is %q, want %q", s.Err, c.failed)
			}
			var series []string
			for _, f := range m.Snapshot().Families {
				for _, one := range f.Series {
					if (one.Count > 0 || one.Value > 0) && f.Name != "platform.registration.status" && !strings.Contains(f.Name, "active") {
						series = append(series, f.Name+"{"+strings.Join(one.Values, " ")+"}")
					}
				}
			}
			slices.Sort(series)
			if got := strings.Join(series, " "); got != c.series {
				t.Errorf("the metrics have\n%s, want\n%s", got, c.series)
			}
			if err := w.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			line := map[string]any{}
			if err := json.Unmarshal([]byte(strings.Split(b.String(), "\n")[0]), &line); err != nil {
				t.Fatalf("%v in %q", err, b.String())
			}
			said := fmt.Sprint(line["level"], " ", line["msg"])
			for _, k := range []string{"time", "level", "logger", "took", "request_id", "msg", "source", "trace_id", "span_id"} {
				delete(line, k)
			}
			var rest []string
			for k, v := range line {
				rest = append(rest, fmt.Sprint(k, "=", v))
			}
			slices.Sort(rest)
			if got := said + " " + strings.Join(rest, " "); got != c.log {
				t.Errorf("the log has\n%s, want\n%s", got, c.log)
			}
		})
	}
}

// How a call is logged, by what came of it and how long it took.
func TestLevelsOfTheLog(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		call   wrapper.Call
		access slog.Level
		want   string
	}{
		{wrapper.Call{}, slog.LevelInfo, "INFO"}, {wrapper.Call{}, slog.LevelDebug, ""}, {wrapper.Call{Class: router.ClientError}, slog.LevelInfo, "INFO"}, {wrapper.Call{Class: router.Cancelled}, slog.LevelInfo, "INFO"},
		{wrapper.Call{Class: router.ServerError}, slog.LevelDebug, "ERROR"}, {wrapper.Call{Panic: 1}, slog.LevelDebug, "ERROR"}, {wrapper.Call{Class: router.Overload}, slog.LevelDebug, "WARN"}, {wrapper.Call{Class: router.Unsent}, slog.LevelDebug, "WARN"},
		{wrapper.Call{Duration: s}, slog.LevelDebug, "WARN"}, {wrapper.Call{Duration: s - 1}, slog.LevelDebug, ""}, {wrapper.Call{Duration: 9 * s, Hijacked: true}, slog.LevelDebug, ""}, {wrapper.Call{Class: router.Timeout, Hijacked: true}, slog.LevelDebug, "WARN"},
		{wrapper.Call{Duration: s}, slog.LevelError, "ERROR"}, {wrapper.Call{Class: router.Timeout}, slog.LevelError, "ERROR"},
	} {
		var b strings.Builder
		lg, err := log.New(log.ToWriter(&b, log.JSON()), log.WithLevel("", slog.LevelInfo))
		if err != nil {
			t.Fatal(err)
		}
		w := newWrapper(t, wrapper.WithLog(lg), wrapper.WithAccessLog(c.access))
		c.call.Side, c.call.Protocol = wrapper.Client, "micro"
		observe(w, c.call)
		if err := w.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := b.String(); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v at %v: %q, want %q", c.call, c.access, got, c.want)
		}
	}
}

// The version and the scheme of a request that comes in are those of its connection.
func TestVersionAndSchemeOfARequest(t *testing.T) {
	for _, c := range []struct {
		major, minor    int
		secure          bool
		version, scheme string
	}{{1, 1, false, "1.1", "http"}, {1, 0, false, "1.0", "http"}, {2, 0, true, "2", "https"}, {3, 0, true, "3", "https"}, {1, 2, false, "", "http"}, {0, 9, false, "", "http"}, {2, 1, false, "2", "http"}} {
		w, spans, _ := observed(t)
		r := httptest.NewRequest("GET", "/a", nil)
		r.ProtoMajor, r.ProtoMinor, r.TLS = c.major, c.minor, nil
		if c.secure {
			r.TLS = &tls.ConnectionState{}
		}
		w.Handler(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(204) })).ServeHTTP(httptest.NewRecorder(), r)
		if s := spans()[0]; tag(s, "network.protocol.version") != c.version || tag(s, "url.scheme") != c.scheme {
			t.Errorf("HTTP/%d.%d, TLS %v: version %q, scheme %q, want %q, %q", c.major, c.minor, c.secure, tag(s, "network.protocol.version"), tag(s, "url.scheme"), c.version, c.scheme)
		}
	}
}

// learns is a monitor that notes what it is told.
type learns struct {
	phases
	told *[]error
}

func (m learns) Observe(_ monitor.Endpoint, _ time.Duration, err error) {
	*m.told = append(*m.told, err)
}

// A monitor learns of failures, and not of what only the caller did wrong or gave up.
func TestWhatAMonitorLearns(t *testing.T) {
	boom := errors.New("boom")
	for class, want := range map[router.Class]bool{router.OK: false, router.ClientError: false, router.Cancelled: false, router.ServerError: true, router.Overload: true, router.Timeout: true, router.Connect: true, router.Unsent: true} {
		for _, side := range []wrapper.Side{wrapper.Server, wrapper.Client} {
			for _, err := range []error{nil, boom} {
				var told []error
				w := newWrapper(t, wrapper.WithMonitor(learns{phases{ready: make(chan bool)}, &told}))
				given := err
				if class == router.OK {
					given = nil
				}
				observe(w, wrapper.Call{Side: side, Protocol: "micro", Method: "Orders.Get", Class: class, Err: given})
				if len(told) != 1 || (told[0] != nil) != want || want && err != nil && !errors.Is(told[0], boom) {
					t.Errorf("%v on side %d with %v: told %v, want a failure: %v", class, side, given, told, want)
				}
			}
		}
	}
}

// The span of a call that came in says from where.
func TestSpansSayFromWhereACallCame(t *testing.T) {
	w, spans, _ := observed(t)
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "10.0.0.7:4711"
	w.Handler(nil).ServeHTTP(httptest.NewRecorder(), r)
	observe(w, wrapper.Call{Side: wrapper.Server, Protocol: "micro", Method: "Orders.Get", Peer: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 4711}})
	all := spans()
	if len(all) != 2 {
		t.Fatalf("%d spans, want 2", len(all))
	}
	for _, s := range all {
		if s.Remote.Address != "10.0.0.7:4711" || tag(s, "client.address") != "10.0.0.7" {
			t.Errorf("%s came from %q, %q", s.Name, s.Remote.Address, tag(s, "client.address"))
		}
	}
}
