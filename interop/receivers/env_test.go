package receivers

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	platformotlp "github.com/micro/go-platform/otlp"
	"github.com/micro/go-platform/trace"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// What OpenTelemetry's SDK for Go and otlp.FromEnv make of the same variables,
// as a server sees it.
func TestVariablesMeanWhatTheyMeanToOpenTelemetry(t *testing.T) {
	const pre = "OTEL_EXPORTER_OTLP_"
	resource.Default() // is made once, of the variables at that time
	for name, env := range map[string]map[string]string{
		"endpoint":             {pre + "ENDPOINT": "$URL"},
		"endpoint with slash":  {pre + "ENDPOINT": "$URL/"},
		"endpoint with path":   {pre + "ENDPOINT": "$URL/a/b"},
		"own endpoint":         {pre + "ENDPOINT": "http://127.0.0.1:1", pre + "TRACES_ENDPOINT": "$URL"},
		"own endpoint, path":   {pre + "TRACES_ENDPOINT": "$URL/x/y"},
		"spaces":               {pre + "ENDPOINT": "  $URL "},
		"headers":              {pre + "ENDPOINT": "$URL", pre + "HEADERS": "x-a=1, x-b = b%20b%2Cb ,x-c=a=b"},
		"own headers":          {pre + "ENDPOINT": "$URL", pre + "HEADERS": "x-a=1,x-b=2", pre + "TRACES_HEADERS": "x-a=3"},
		"gzip":                 {pre + "ENDPOINT": "$URL", pre + "COMPRESSION": "gzip"},
		"none":                 {pre + "ENDPOINT": "$URL", pre + "COMPRESSION": "none"},
		"own compression":      {pre + "ENDPOINT": "$URL", pre + "COMPRESSION": "none", pre + "TRACES_COMPRESSION": "gzip"},
		"service":              {pre + "ENDPOINT": "$URL", "OTEL_SERVICE_NAME": "a b"},
		"attributes":           {pre + "ENDPOINT": "$URL", "OTEL_RESOURCE_ATTRIBUTES": "team=a%20b%2Cc, zone = z ,service.name=s"},
		"service and its name": {pre + "ENDPOINT": "$URL", "OTEL_RESOURCE_ATTRIBUTES": "service.name=s", "OTEL_SERVICE_NAME": "n"},
		"always_on":            {pre + "ENDPOINT": "$URL", "OTEL_TRACES_SAMPLER": "always_on"},
		"always_off":           {pre + "ENDPOINT": "$URL", "OTEL_TRACES_SAMPLER": "always_off"},
		"upper case":           {pre + "ENDPOINT": "$URL", "OTEL_TRACES_SAMPLER": "ALWAYS_OFF"},
		"ratio 0":              {pre + "ENDPOINT": "$URL", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"},
		"ratio 1":              {pre + "ENDPOINT": "$URL", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "1"},
		"ratio":                {pre + "ENDPOINT": "$URL", "OTEL_TRACES_SAMPLER": "traceidratio"},
		"parent, off":          {pre + "ENDPOINT": "$URL", "OTEL_TRACES_SAMPLER": "parentbased_always_off"},
		"parent, on":           {pre + "ENDPOINT": "$URL", "OTEL_TRACES_SAMPLER": "parentbased_always_on"},
		"parent, ratio":        {pre + "ENDPOINT": "$URL", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"},
	} {
		t.Run(name, func(t *testing.T) {
			var seen string
			s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen += describe(t, r) }))
			defer s.Close()
			for k, v := range env {
				t.Setenv(k, strings.ReplaceAll(v, "$URL", s.URL))
			}
			theirs(t)
			want := seen
			seen = ""
			ours(t)
			if seen != want {
				t.Errorf("got %s\nwant %s", seen, want)
			}
			sampled := !strings.Contains(name, "off") && name != "ratio 0" && name != "upper case" && name != "parent, ratio"
			if (want != "") != sampled {
				t.Errorf("OpenTelemetry sent %q", want)
			}
		})
	}
}

var long = strings.Repeat("x", 2000)

func theirs(t *testing.T) {
	ctx := context.Background()
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		t.Fatal(err)
	}
	said, err := resource.New(ctx, resource.WithFromEnv())
	if err != nil {
		t.Fatal(err)
	}
	r, err := resource.Merge(resource.Default(), said)
	if err != nil {
		t.Fatal(err)
	}
	p := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter), sdktrace.WithResource(r))
	_, span := p.Tracer("t").Start(ctx, "x")
	span.SetAttributes(attribute.String("long", long))
	span.End()
	if err := p.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
}

func ours(t *testing.T) {
	env, err := platformotlp.FromEnv()
	if err != nil {
		t.Fatal(err)
	}
	tr, err := trace.New(append(env.Trace(), trace.WithLazy())...)
	if err != nil {
		t.Fatal(err)
	}
	_, span := tr.Start(context.Background(), "x")
	span.Tag("long", long)
	span.End()
	if err := tr.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// describe is what the variables are about in a request. Without
// OTEL_EXPORTER_OTLP_COMPRESSION this project compresses, and OpenTelemetry
// does not.
func describe(t *testing.T, r *http.Request) string {
	encoding, body := r.Header.Get("Content-Encoding"), io.Reader(r.Body)
	if encoding == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return ""
		}
		body = z
	}
	b, _ := io.ReadAll(body)
	traces, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(b)
	if err != nil || traces.ResourceSpans().Len() == 0 {
		return "" // a ping
	}
	text := fmt.Sprintf("%s %s %q %q %q %d spans", r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get("X-A"), r.Header.Get("X-B"), r.Header.Get("X-C"), traces.SpanCount())
	if strings.Contains(t.Name(), "compression") || strings.HasSuffix(t.Name(), "/gzip") || strings.HasSuffix(t.Name(), "/none") {
		text += " " + encoding
	}
	for _, key := range []string{"service.name", "team", "zone"} {
		if v, ok := traces.ResourceSpans().At(0).Resource().Attributes().Get(key); ok {
			text += fmt.Sprintf(" %s=%q", key, v.AsString())
		}
	}
	return text
}
