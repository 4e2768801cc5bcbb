package otlp_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	engineotlp "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/otlp"
	"github.com/micro/go-platform/otlp/otlpgrpc"
	"github.com/micro/go-platform/trace"
	traceotlp "github.com/micro/go-platform/trace/otlp"
)

const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"

// The requests of the three signals that are made under some variables. Each
// variable has a case with it and one without, or with another value.
func TestVariablesInRequests(t *testing.T) {
	header := func(name string) func(request) string {
		return func(r request) string { return strings.Join(r.header[name], "|") }
	}
	path := func(r request) string { return r.path }
	packed := func(r request) string { return map[bool]string{true: "gzip"}[r.packed] }
	has := func(words ...string) func(request) string {
		return func(r request) string {
			found := []string{}
			for _, w := range words {
				if strings.Contains(r.body, w) {
					found = append(found, w)
				}
			}
			return strings.Join(found, " ")
		}
	}
	type env = map[string]string
	const headers, compression = "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_COMPRESSION"
	const protocol, attributes, service = "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME"
	const temporality = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
	const histograms = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
	mine := []otlp.Option{engineotlp.WithHeader("X-Scope", "mine"), engineotlp.WithHeader("X-Own", "1"), engineotlp.WithResource(slog.String("team", "mine"))}
	for name, c := range map[string]struct {
		env                  env
		opts                 []otlp.Option
		see                  func(request) string
		trace, metrics, logs string
	}{
		"endpoint":             {env{}, nil, path, "/v1/traces", "/v1/metrics", "/v1/logs"},
		"endpoint with slash":  {env{endpoint: "$URL/"}, nil, path, "/v1/traces", "/v1/metrics", "/v1/logs"},
		"endpoint with path":   {env{endpoint: "$URL/a/b/"}, nil, path, "/a/b/v1/traces", "/a/b/v1/metrics", "/a/b/v1/logs"},
		"traces' own":          {env{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "$URL"}, nil, path, "/", "/v1/metrics", "/v1/logs"},
		"metrics' own":         {env{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "$URL/m"}, nil, path, "/v1/traces", "/m", "/v1/logs"},
		"logs' own":            {env{"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "$URL/l/"}, nil, path, "/v1/traces", "/v1/metrics", "/l/"},
		"no protocol":          {env{}, nil, header("Content-Type"), "application/x-protobuf", "application/x-protobuf", "application/x-protobuf"},
		"protobuf":             {env{protocol: "http/protobuf"}, []otlp.Option{engineotlp.WithJSON()}, header("Content-Type"), "application/x-protobuf", "application/x-protobuf", "application/x-protobuf"},
		"json":                 {env{protocol: "http/json", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/protobuf"}, nil, header("Content-Type"), "application/json", "application/x-protobuf", "application/json"},
		"http beside gRPC":     {env{protocol: "http/protobuf"}, []otlp.Option{otlpgrpc.Transport()}, path, "/v1/traces", "/v1/metrics", "/v1/logs"},
		"no headers":           {env{}, nil, header("X-Scope"), "", "", ""},
		"headers":              {env{headers: "a=b, X-scope = x%20y=z%2C%3d"}, nil, header("X-Scope"), "x y=z,=", "x y=z,=", "x y=z,="},
		"logs' headers":        {env{headers: "x-scope=1", "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "x-other=2"}, nil, header("X-Scope"), "1", "1", ""},
		"over the program's":   {env{headers: "x-scope=1"}, mine, header("X-Scope"), "1", "1", "1"},
		"beside the program's": {env{headers: "x-scope=1"}, mine, header("X-Own"), "1", "1", "1"},
		"no compression":       {env{}, nil, packed, "gzip", "gzip", "gzip"},
		"none":                 {env{compression: "none", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "gzip"}, nil, packed, "gzip", "", ""},
		"gzip":                 {env{compression: "gzip"}, []otlp.Option{engineotlp.WithoutGzip()}, packed, "gzip", "gzip", "gzip"},
		"no attributes":        {env{}, mine, has("unknown_service", "mine"), "unknown_service mine", "unknown_service mine", "unknown_service mine"},
		"attributes":           {env{attributes: "team=its%20own, service.name=a"}, mine, has("unknown_service", "mine", "its own", "service.name\x12\x03\n\x01a"), "its own service.name\x12\x03\n\x01a", "its own service.name\x12\x03\n\x01a", "its own service.name\x12\x03\n\x01a"},
		"service":              {env{attributes: "service.name=by-attribute", service: "by-name"}, nil, has("by-attribute", "by-name"), "by-name", "by-name", "by-name"},
		"cumulative":           {env{temporality: "cumulative", protocol: "http/json"}, []otlp.Option{engineotlp.WithDelta()}, has(`"aggregationTemporality":1`, `"aggregationTemporality":2`), "", `"aggregationTemporality":2`, ""},
		"delta":                {env{temporality: "Delta", protocol: "http/json"}, nil, has(`"aggregationTemporality":1`, `"aggregationTemporality":2`), "", `"aggregationTemporality":1`, ""},
		"lowmemory":            {env{temporality: "lowmemory", protocol: "http/json"}, nil, has(`"aggregationTemporality":1`), "", `"aggregationTemporality":1`, ""},
		"no histograms":        {env{protocol: "http/json"}, nil, has(`"histogram"`, `"exponentialHistogram"`), "", `"histogram"`, ""},
		"explicit histograms":  {env{protocol: "http/json", histograms: "explicit_bucket_histogram"}, nil, has(`"histogram"`, `"exponentialHistogram"`), "", `"histogram"`, ""},
		"exponential ones":     {env{protocol: "http/json", histograms: "BASE2_exponential_bucket_histogram"}, nil, has(`"histogram"`, `"exponentialHistogram"`), "", `"exponentialHistogram"`, ""},
		"no temporality":       {env{protocol: "http/json"}, nil, has(`"aggregationTemporality":2`), "", `"aggregationTemporality":2`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, nil)
			r.Start()
			t.Setenv(endpoint, r.URL)
			setenv(t, c.env, r.URL)
			e, err := otlp.FromEnv(c.opts...)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := send(t, e, nil); err != nil {
				t.Fatal(err)
			}
			for word, want := range map[string]string{aSpan: c.trace, aCounter: c.metrics, aRecord: c.logs} {
				one, n := r.of(word)
				if n != 1 {
					t.Fatalf("%s arrived %d times", word, n)
				}
				if got := c.see(one); got != want {
					t.Errorf("%s: got %q, want %q", word, got, want)
				}
			}
		})
	}
}

// What is sent at all.
func TestVariablesThatTurnSignalsOff(t *testing.T) {
	caller := trace.SpanContext{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}
	byCaller := func(sampled bool) context.Context {
		sc := caller
		if sampled {
			sc.Flags = trace.Sampled
		}
		return trace.ContextWithRemote(t.Context(), sc)
	}
	const sampler, arg = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
	type env = map[string]string
	for name, c := range map[string]struct {
		env  env
		ctx  context.Context
		want string
	}{
		"nothing":                  {env{}, nil, "span counter record"},
		"enabled":                  {env{"OTEL_SDK_DISABLED": "False"}, nil, "span counter record"},
		"disabled":                 {env{"OTEL_SDK_DISABLED": "True", sampler: "unheard of"}, nil, ""},
		"no traces":                {env{"OTEL_TRACES_EXPORTER": "none"}, nil, "counter record"},
		"no metrics":               {env{"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "otlp"}, nil, "span record"},
		"no logs":                  {env{"OTEL_LOGS_EXPORTER": "none"}, nil, "span counter"},
		"off":                      {env{sampler: "always_off"}, byCaller(true), "counter record"},
		"on":                       {env{sampler: "ALWAYS_ON"}, byCaller(false), "span counter record"},
		"all":                      {env{sampler: "traceidratio"}, byCaller(false), "span counter record"},
		"the share 1":              {env{sampler: "traceidratio", arg: "1.0"}, byCaller(false), "span counter record"},
		"the share 0":              {env{sampler: "traceidratio", arg: "0"}, byCaller(true), "counter record"},
		"by a caller that samples": {env{sampler: "parentbased_always_off"}, byCaller(true), "span counter record"},
		"without a caller":         {env{sampler: "parentbased_always_off"}, nil, "counter record"},
		"by one that doesn't":      {env{sampler: "parentbased_always_on"}, byCaller(false), "counter record"},
		"by itself":                {env{sampler: "parentbased_always_on"}, nil, "span counter record"},
		"by one, share 0":          {env{sampler: "parentbased_traceidratio", arg: "0"}, byCaller(true), "span counter record"},
		"by itself, share 0":       {env{sampler: "parentbased_traceidratio", arg: "0"}, nil, "counter record"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, nil)
			r.Start()
			t.Setenv(endpoint, r.URL)
			setenv(t, c.env, r.URL)
			e, err := otlp.FromEnv()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := send(t, e, c.ctx); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, word := range []string{aSpan, aCounter, aRecord} {
				if _, n := r.of(word); n > 0 {
					got = append(got, word[3:])
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}

// What the program says of itself is in the resource, unless the environment
// says something else; so it is for the label of a scrape.
func TestResourceOfTheProgram(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version=2,service.name=deployed")
	r := newReceiver(t, nil)
	r.Start()
	t.Setenv(endpoint, r.URL)
	e, err := otlp.FromEnv()
	if err != nil {
		t.Fatal(err)
	}
	s, err := send(t, e, nil, slog.String("service.name", "built"), slog.String("service.version", "of-the-build"), slog.String("zone", "z-9"))
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{aSpan, aCounter, aRecord} {
		one, _ := r.of(word)
		for text, want := range map[string]bool{"deployed": true, "built": false, "of-the-build": false, "z-9": true} {
			if got := strings.Contains(one.body, text); got != want {
				t.Errorf("%s: has %q: %v", word, text, got)
			}
		}
	}
	memory := trace.NewStore(10, time.Hour)
	tr, err := trace.New(append(e.Trace(), trace.Memory(memory), trace.WithLazy())...)
	if err != nil {
		t.Fatal(err)
	}
	_, span := tr.Start(t.Context(), "x")
	span.End()
	if err := tr.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if page, err := memory.Search(t.Context(), trace.Query{}); err != nil || len(page.Traces) != 1 || page.Traces[0].Spans[0].Local.Service != "deployed" {
		t.Errorf("another reporter has %+v, %v", page.Traces, err)
	}
	if got := s.metrics.Snapshot().Resource; len(got) != 3 || !slices.ContainsFunc(got, func(l metrics.Label) bool { return l.Key == "service.name" && l.Value == "deployed" }) {
		t.Errorf("the scrape has %v", got)
	}
}

func TestTimeouts(t *testing.T) {
	for ms, again := range map[string]bool{"50": true, "5000": false, "": false} {
		slow := newReceiver(t, func(nth int) {
			if nth == 1 {
				time.Sleep(200 * time.Millisecond)
			}
		})
		slow.Start()
		t.Setenv(endpoint, slow.URL)
		t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", ms)
		e, err := otlp.FromEnv()
		if err != nil {
			t.Fatal(err)
		}
		s, err := send(t, e, nil)
		if (s.trace.Stats().Reporters[0].Retries > 0) != again || (s.log.Stats()[0].Retries > 0) != again || (err != nil) != again {
			t.Errorf("%q ms: %+v, %+v, %v", ms, s.trace.Stats().Reporters, s.log.Stats(), err)
		}
	}
}

func TestInterval(t *testing.T) {
	r := newReceiver(t, nil)
	r.Start()
	t.Setenv(endpoint, r.URL)
	exports := map[string]func() uint64{}
	for _, ms := range []string{"3600000", "10"} { // the slow one first
		t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", ms)
		e, err := otlp.FromEnv()
		if err != nil {
			t.Fatal(err)
		}
		s, err := send(t, e, nil)
		if err != nil {
			t.Fatal(err)
		}
		exports[ms] = func() uint64 { return s.metrics.Stats().Exporters[0].Exports }
	}
	for end := time.Now().Add(30 * time.Second); exports["10"]() < 5; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no exports")
		}
	}
	if n := exports["3600000"](); n != 1 { // that of Flush
		t.Errorf("%d exports in an hour's interval", n)
	}
}

func TestCertificates(t *testing.T) {
	r := newReceiver(t, nil)
	dir := t.TempDir()
	r.StartTLS()
	file := func(name string, kind string, der []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	pair := r.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, private := file("cert.pem", "CERTIFICATE", pair.Certificate[0]), file("key.pem", "PRIVATE KEY", key)
	// One that asks its clients for a certificate.
	strict := newReceiver(t, nil)
	strict.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	strict.StartTLS()

	const ca, clientCert, clientKey = "OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_KEY"
	type env = map[string]string
	for name, c := range map[string]struct {
		to  *receiver
		env env
		ok  bool
	}{
		"unknown":               {r, env{}, false},
		"the program's own":     {strict, env{clientCert: cert, clientKey: private}, true},
		"known":                 {r, env{ca: cert}, true},
		"known by each signal":  {r, env{"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": cert, "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE": cert, "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE": cert}, true},
		"known by one signal":   {r, env{"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": cert}, false},
		"strict, none":          {strict, env{ca: cert}, false},
		"strict, with one":      {strict, env{ca: cert, clientCert: cert, clientKey: private}, true},
		"strict, by one signal": {strict, env{ca: cert, "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE": cert, "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY": private}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(endpoint, c.to.URL)
			setenv(t, c.env, "")
			var opts []otlp.Option
			if name == "the program's own" {
				roots := x509.NewCertPool()
				roots.AddCert(c.to.Certificate())
				opts = append(opts, engineotlp.WithTLS(&tls.Config{RootCAs: roots}))
			}
			e, err := otlp.FromEnv(opts...)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := send(t, e, nil); (err == nil) != c.ok || err != nil && !errors.Is(err, trace.ErrUnavailable) && !errors.Is(err, metrics.ErrUnavailable) && !errors.Is(err, log.ErrUnavailable) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestGRPC(t *testing.T) {
	c := servertest.SharedCollector(t)
	const protocol, insecure = "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_INSECURE"
	addr := c.AddrOf("otlpgrpc")
	type env = map[string]string
	for name, one := range map[string]struct {
		env env
		ok  bool
	}{
		"url":                   {env{endpoint: "http://" + addr, protocol: "grpc"}, true},
		"url with a slash":      {env{endpoint: "http://" + addr + "/", protocol: "grpc"}, true},
		"no protocol":           {env{endpoint: "http://" + addr}, true},
		"insecure":              {env{endpoint: addr, insecure: "true"}, true},
		"secure":                {env{endpoint: addr, insecure: "false"}, false},
		"secure if not said":    {env{endpoint: addr}, false},
		"secure beside another": {env{endpoint: "https://" + addr, insecure: "true"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, one.env, "")
			t.Setenv("OTEL_SERVICE_NAME", "env-"+strings.ReplaceAll(name, " ", "-"))
			e, err := otlp.FromEnv(otlpgrpc.Transport())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := send(t, e, nil); (err == nil) != one.ok {
				t.Errorf("%v", err)
			}
			if !one.ok {
				return
			}
			for _, word := range []string{aSpan, aCounter, aRecord} {
				c.Await(t, "received", func(lines []string) bool {
					return slices.ContainsFunc(lines, func(line string) bool {
						return strings.Contains(line, os.Getenv("OTEL_SERVICE_NAME")+`"`) && strings.Contains(line, word)
					})
				})
			}
		})
	}
}

// Values that can't be are errors that name the variable, and never say what
// may be a secret.
func TestBadValues(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	type env = map[string]string
	const secret = "s3cr3t"
	for _, c := range []struct {
		named string
		env   env
		says  string
	}{
		{"OTEL_SDK_DISABLED", env{"OTEL_SDK_DISABLED": "1"}, "true or false"},
		{"OTEL_RESOURCE_ATTRIBUTES", env{"OTEL_RESOURCE_ATTRIBUTES": "a=b,c"}, "entry 2"},
		{"OTEL_RESOURCE_ATTRIBUTES", env{"OTEL_RESOURCE_ATTRIBUTES": "=" + secret}, "entry 1"},
		{"OTEL_RESOURCE_ATTRIBUTES", env{"OTEL_RESOURCE_ATTRIBUTES": "a=%" + secret}, `value of "a"`},
		{"OTEL_TRACES_SAMPLER", env{"OTEL_TRACES_SAMPLER": "jaeger_remote"}, "jaeger_remote"},
		{"OTEL_TRACES_SAMPLER", env{"OTEL_TRACES_SAMPLER": "parentbased_"}, "parentbased_"},
		{"OTEL_TRACES_SAMPLER_ARG", env{"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "1.1"}, "from 0 to 1"},
		{"OTEL_TRACES_SAMPLER_ARG", env{"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "-0.1"}, "from 0 to 1"},
		{"OTEL_TRACES_SAMPLER_ARG", env{"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "NaN"}, "from 0 to 1"},
		{"OTEL_METRIC_EXPORT_INTERVAL", env{"OTEL_METRIC_EXPORT_INTERVAL": "10s"}, "milliseconds"},
		{"OTEL_METRIC_EXPORT_INTERVAL", env{"OTEL_METRIC_EXPORT_INTERVAL": "0"}, "milliseconds"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", env{"OTEL_EXPORTER_OTLP_TIMEOUT": "-1"}, "milliseconds"},
		{"OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", env{"OTEL_EXPORTER_OTLP_LOGS_TIMEOUT": "9223372036855"}, "milliseconds"},
		{"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", env{"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "native"}, "base2"},
		{"OTEL_TRACES_EXPORTER", env{"OTEL_TRACES_EXPORTER": "zipkin"}, "otlp or none"},
		{"OTEL_METRICS_EXPORTER", env{"OTEL_METRICS_EXPORTER": "prometheus"}, "otlp or none"},
		{"OTEL_LOGS_EXPORTER", env{"OTEL_LOGS_EXPORTER": "console"}, "otlp or none"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", env{"OTEL_EXPORTER_OTLP_PROTOCOL": "http"}, "http/json"},
		{"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", env{"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc"}, "otlpgrpc.Transport()"},
		{"OTEL_EXPORTER_OTLP_COMPRESSION", env{"OTEL_EXPORTER_OTLP_COMPRESSION": "zstd"}, "gzip or none"},
		{"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", env{"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "low"}, "lowmemory"},
		{"OTEL_EXPORTER_OTLP_HEADERS", env{"OTEL_EXPORTER_OTLP_HEADERS": "Bearer " + secret}, "entry 1"},
		{"OTEL_EXPORTER_OTLP_HEADERS", env{"OTEL_EXPORTER_OTLP_HEADERS": "a=%" + secret}, `value of "a"`},
		{"OTEL_EXPORTER_OTLP_HEADERS", env{"OTEL_EXPORTER_OTLP_HEADERS": "a b=" + secret}, `"a b"`},
		{"OTEL_EXPORTER_OTLP_TRACES_HEADERS", env{"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "a=" + secret + "%0d%0ab: c"}, `"a"`},
		{endpoint, env{endpoint: "collector:4318"}, "http://"},
		{endpoint, env{endpoint: "ftp://bob:" + secret + "@collector"}, "http://"},
		{endpoint, env{endpoint: "http://"}, "http://"},
		{endpoint, env{endpoint: "http://bob:" + secret + "@c:x"}, "not a URL"},
		{endpoint, env{endpoint: "http://collector:99999"}, "65535"},
		{endpoint, env{endpoint: "http://collector?token=" + secret}, "query"},
		{"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", env{"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://collector/#" + secret}, "fragment"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", env{"OTEL_EXPORTER_OTLP_CERTIFICATE": empty}, endpoint},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", env{endpoint: "https://c", "OTEL_EXPORTER_OTLP_CERTIFICATE": filepath.Join(dir, "none")}, "no such file"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", env{endpoint: "https://c", "OTEL_EXPORTER_OTLP_CERTIFICATE": empty}, "no certificate"},
		{"OTEL_EXPORTER_OTLP_CLIENT_KEY", env{endpoint: "https://c", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": empty}, "not set"},
		{"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", env{endpoint: "https://c", "OTEL_EXPORTER_OTLP_CLIENT_KEY": empty}, "not set"},
		{"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", env{endpoint: "https://c", "OTEL_EXPORTER_OTLP_CLIENT_KEY": empty, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": empty}, "PEM"},
	} {
		t.Run(c.named+" "+c.says, func(t *testing.T) {
			setenv(t, c.env, "")
			e, err := otlp.FromEnv()
			if e != nil || !errors.Is(err, otlp.ErrInvalid) {
				t.Fatalf("%v", err)
			}
			if text := err.Error(); !strings.HasPrefix(text, `otlp: read "`+c.named+`": invalid: `) || !strings.Contains(text, c.says) || strings.Contains(text, secret) || strings.Count(text, "invalid:") != 1 {
				t.Errorf("got %s", text)
			}
		})
	}
}

func TestGRPCThatCannotBe(t *testing.T) {
	const insecure = "OTEL_EXPORTER_OTLP_INSECURE"
	for name, env := range map[string]map[string]string{
		insecure:                             {endpoint: "collector:4317", insecure: "yes"},
		endpoint:                             {endpoint: "http://collector:4317/v1/traces"},
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "grpc://collector:4317"},
		"options":                            {},
	} {
		setenv(t, env, "")
		opts := []otlp.Option{otlpgrpc.Transport()}
		if name == "options" {
			opts = []otlp.Option{nil}
		}
		if _, err := otlp.FromEnv(opts...); !errors.Is(err, otlp.ErrInvalid) || !strings.Contains(err.Error(), `"`+name+`"`) {
			t.Errorf("%s: %v", name, err)
		}
		for v := range env {
			os.Unsetenv(v)
		}
	}
}

// Without FromEnv the environment says nothing.
func TestNothingIsReadUnlessAsked(t *testing.T) {
	r := newReceiver(t, nil)
	r.Start()
	setenv(t, map[string]string{
		"OTEL_SDK_DISABLED": "true", endpoint: "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_HEADERS": "a=b", "OTEL_SERVICE_NAME": "elsewhere",
		"OTEL_EXPORTER_OTLP_COMPRESSION": "none", "OTEL_TRACES_SAMPLER": "always_off", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
	}, "")
	tr, err := trace.New(traceotlp.Backend(r.URL))
	if err != nil {
		t.Fatal(err)
	}
	_, span := tr.Start(t.Context(), aSpan)
	span.Tag("long", strings.Repeat("x", 2000))
	span.End()
	if err := tr.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, n := r.of(aSpan)
	if n != 1 || !got.packed || got.header.Get("a") != "" || got.header.Get("Content-Type") != "application/x-protobuf" || strings.Contains(got.body, "elsewhere") {
		t.Errorf("%d times, %v", n, got.header)
	}
}
