package servertest

import (
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// StatsdExporter starts Prometheus' statsd_exporter: its ports are "statsd" (UDP), "tcp" and
// "http", where /metrics shows what it understood, and statsd_exporter_sample_errors_total how
// many lines it did not.
func StatsdExporter(t testing.TB, opts ...Option) *Server {
	t.Helper()
	return start(t, collect(opts), spec{
		name: "statsd_exporter", part: "go", program: "statsd_exporter", ports: []string{"statsd", "tcp", "http"},
		args: func(s *Server) []string {
			return []string{"--statsd.listen-udp=" + s.AddrOf("statsd"), "--statsd.listen-tcp=" + s.AddrOf("tcp"),
				"--web.listen-address=" + s.AddrOf("http"), "--statsd.event-flush-interval=50ms"}
		},
		ready: answers("http", "/-/ready", ""),
	})
}

// SharedStatsdExporter returns the test binary's statsd_exporter.
func SharedStatsdExporter(t testing.TB) *Server {
	t.Helper()
	return share(t, "statsd_exporter", StatsdExporter)
}

// Telegraf starts Telegraf with a statsd input, the port "statsd" (UDP), that understands
// Datadog's and Influx' tags, and an input of JSON lines, the port "json" (TCP). [Server.Lines]
// of "received" are the metrics as JSON.
func Telegraf(t testing.TB, opts ...Option) *Server {
	t.Helper()
	return start(t, collect(opts), spec{
		name: "telegraf", part: "telegraf", program: "telegraf", ports: []string{"statsd", "json"},
		prepare: func(s *Server) error {
			return write(s.dir, "telegraf.conf", fmt.Sprintf(`
[agent]
  interval = "200ms"
  flush_interval = "200ms"
  omit_hostname = true
[[inputs.statsd]]
  protocol = "udp"
  service_address = %q
  datadog_extensions = true
  delete_gauges = true
  delete_counters = true
  delete_sets = true
  delete_timings = true
[[inputs.socket_listener]]
  service_address = "tcp://%s"
  data_format = "json_v2"
  [[inputs.socket_listener.json_v2]]
    measurement_name = "line"
    [[inputs.socket_listener.json_v2.object]]
      path = "@this"
[[outputs.file]]
  files = [%q]
  data_format = "json"
`, s.AddrOf("statsd"), s.AddrOf("json"), filepath.Join(s.dir, "received")))
		},
		args:  func(s *Server) []string { return []string{filepath.Join(s.dir, "telegraf.conf")} },
		ready: all(accepts("json"), hears("statsd")),
	})
}

// SharedTelegraf returns the test binary's Telegraf.
func SharedTelegraf(t testing.TB) *Server {
	t.Helper()
	return share(t, "telegraf", Telegraf)
}

// Collector starts receivers of the OpenTelemetry collector: the ports "zipkin" (HTTP), "fluent"
// (TCP), "statsd" (UDP), "otlphttp" and "otlpgrpc" for OTLP, and "discardhttp" and "discardgrpc" for
// OTLP of which the numbers of spans, points and records alone are kept. A batch of OTLP whose resource has
// the attribute rx.throttle is refused once for each value, with a pause of a second. [Server.Lines] of "received" are what arrived as OTLP JSON, in an
// object whose only key is traces, logs or metrics.
func Collector(t testing.TB, opts ...Option) *Server {
	t.Helper()
	kinds := []string{"zipkin", "fluent", "statsd", "otlphttp", "otlpgrpc", "discardhttp", "discardgrpc"}
	return start(t, collect(opts), spec{
		name: "collector", part: "go", program: "rx", ports: kinds, stdout: "received",
		args: func(s *Server) []string {
			var args []string
			for _, kind := range kinds {
				args = append(args, kind+"="+s.AddrOf(kind))
			}
			return args
		},
		ready: says("READY"),
	})
}

// SharedCollector returns the test binary's collector.
func SharedCollector(t testing.TB) *Server {
	t.Helper()
	return share(t, "collector", Collector)
}

// Fluentd starts the server of Fluent's own Node.js package, which speaks the forward protocol
// with acknowledgements. [Server.Lines] of "received" are the events as {tag, time, record}. A
// shared key that clients must prove is WithArgs(key).
func Fluentd(t testing.TB, opts ...Option) *Server {
	t.Helper()
	return start(t, collect(opts), node("fluentd", "fluentd.mjs", spec{ports: []string{"forward"}, stdout: "received", ready: says("READY")}))
}

// OIDC starts oidc-provider, a certified OpenID Connect and OAuth 2 server; [Server.DSN] is its
// issuer URL. Its clients and resources stand in interop/node/oidc.mjs. It has new keys after
// Restart, and forgets everything else.
func OIDC(t testing.TB, opts ...Option) *Server {
	t.Helper()
	return start(t, collect(opts), node("oidc", "oidc.mjs", spec{
		ports: []string{"http"}, dsn: "http://%s", ready: answers("http", "/.well-known/openid-configuration", "issuer"),
	}))
}

// SharedOIDC returns the test binary's OpenID Connect server.
func SharedOIDC(t testing.TB) *Server {
	t.Helper()
	return share(t, "oidc", OIDC)
}

// node completes sp for a script that takes its port as the first argument.
func node(name, script string, sp spec) spec {
	path := filepath.Join(Cache(), "node", script)
	sp.name, sp.part, sp.program, sp.files = name, "node", "node", []string{path}
	sp.limit = 20 * time.Second // Node has been seen to hang in its start, once in hundreds; it is started again
	sp.args = func(s *Server) []string { return []string{path, strconv.Itoa(s.Port(sp.ports[0]))} }
	return sp
}

// Statsd starts etsy's statsd, the original, on the port "statsd" (UDP). [Server.Lines] of
// "received" are each packet as {packet} and, twice a second, what it aggregated as {flush}.
func Statsd(t testing.TB, opts ...Option) *Server {
	t.Helper()
	sp := node("statsd", "node_modules/statsd/stats.js", spec{ports: []string{"statsd", "admin"}})
	sp.prepare = func(s *Server) error {
		return write(s.dir, "config.js", fmt.Sprintf(`{
  servers: [{ server: "./servers/udp", address: "127.0.0.1", port: %d }],
  mgmt_address: "127.0.0.1", mgmt_port: %d,
  flushInterval: 500, deleteIdleStats: true,
  backends: [%q], received: %q
}`, s.Port("statsd"), s.Port("admin"), filepath.Join(Cache(), "node", "statsd-backend.cjs"), filepath.Join(s.dir, "received")))
	}
	script := sp.files[0]
	sp.args = func(s *Server) []string { return []string{script, filepath.Join(s.dir, "config.js")} }
	sp.ready = hears("statsd")
	return start(t, collect(opts), sp)
}
