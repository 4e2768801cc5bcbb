package otlp_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/otlp"
	"github.com/micro/go-platform/internal/outlet"
)

func TestMain(m *testing.M) { leak.Main(m) }

// Where requests go, and with what credentials.
func TestAddresses(t *testing.T) {
	for addr, want := range map[string]string{
		"$HOST":                    "/v1/traces ",
		"http://$HOST":             "/v1/traces ",
		"http://$HOST/":            "/v1/traces ",
		"http://$HOST/otlp/in":     "/otlp/in ",
		"http://$HOST/otlp/":       "/otlp ",
		"http://bob:secret@$HOST/": "/v1/traces Basic Ym9iOnNlY3JldA==",
	} {
		got := ""
		s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			got = r.URL.Path + " " + r.Header.Get("Authorization")
		}))
		c, err := otlp.New(strings.ReplaceAll(addr, "$HOST", s.Listener.Addr().String()), otlp.Traces(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Ping(t.Context()); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", addr, got, err, want)
		}
		c.Close()
		s.Close()
	}
}

// What a server says of a refusal is in the error, whatever its form, and not
// more of it than a line holds.
func TestReasonsOfRefusals(t *testing.T) {
	status := func(text string) string {
		return string(otlp.String(otlp.Varint(nil, 1, 3), 2, text))
	}
	const protobuf = "application/x-protobuf"
	for name, c := range map[string]struct{ kind, answer, says, not string }{
		"text":              {"text/plain", "  no entry \n", "no entry", "\n"},
		"long text":         {"text/plain", strings.Repeat("x", 600), strings.Repeat("x", 512), strings.Repeat("x", 513)},
		"very long text":    {"text/plain", strings.Repeat("x", 1<<20), strings.Repeat("x", 512), strings.Repeat("x", 513)},
		"a status":          {protobuf, status("no quota"), "no quota", "\x12"},
		"a long status":     {protobuf, status(strings.Repeat("x", 600)), strings.Repeat("x", 512), strings.Repeat("x", 513)},
		"no status":         {protobuf, "\xff\xff", "403 Forbidden", "\xff"},
		"a status and more": {protobuf + "; charset=x", status("no quota"), "no quota", "\x12"},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, c.answer)
		}))
		client, err := otlp.New(s.URL, otlp.Logs(), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Send(t.Context(), nil)
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), c.not) {
			t.Errorf("%s: %v", name, err)
		}
		client.Close()
		s.Close()
	}
}

// A success whose answer breaks off is not known to be one: it is sent again.
func TestAnAnswerThatBreaksOff(t *testing.T) {
	for name, said := range map[string]string{"whole": "5", "cut": "9"} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", said)
			io.WriteString(w, "\x0a\x03\x12\x01x")
		}))
		client, err := otlp.New(s.URL, otlp.Logs(), nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := client.Send(t.Context(), nil)
		if (err != nil) != (name == "cut") || err != nil && !errors.Is(err, fault.Unavailable) || err == nil && r.Reason != "x" {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		client.Close()
		s.Close()
	}
}

func TestPauses(t *testing.T) {
	plain := errors.New("x")
	for _, c := range []struct {
		err  error
		want time.Duration
	}{
		{nil, 0}, {plain, 0}, {otlp.Retry(plain, time.Second), time.Second}, {fault.Mark(fault.Unavailable, otlp.Retry(plain, 2*time.Second)), 2 * time.Second},
		{otlp.Retry(plain, time.Hour), 5 * time.Minute},
	} {
		if got := outlet.RetryAfter(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
	if !errors.Is(otlp.Retry(plain, 0), plain) {
		t.Error("the error is lost")
	}
}

type secret struct{}

func (secret) LogValue() slog.Value { return slog.StringValue("resolved") }

type worse struct{}

func (worse) Error() string { panic("x") }

// Every kind of value that slog has, as the JSON of the protocol.
func TestAttributesOfEveryKind(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for _, c := range []struct {
		attr slog.Attr
		want string
	}{
		{slog.Any("k", secret{}), `[{"key":"k","value":{"stringValue":"resolved"}}]`},
		{slog.Duration("k", time.Second), `[{"key":"k","value":{"intValue":"1000000000"}}]`},
		{slog.Uint64("k", 1<<63-1), `[{"key":"k","value":{"intValue":"9223372036854775807"}}]`},
		{slog.Uint64("k", 1<<63), `[{"key":"k","value":{"stringValue":"9223372036854775808"}}]`},
		{slog.Time("k", at), `[{"key":"k","value":{"stringValue":"2026-01-02 03:04:05.000000006 +0000 UTC"}}]`},
		{slog.Any("k", []byte{1, 255}), `[{"key":"k","value":{"bytesValue":"Af8="}}]`},
		{slog.Any("k", []string{"a", ""}), `[{"key":"k","value":{"arrayValue":{"values":[{"stringValue":"a"},{"stringValue":""}]}}}]`},
		{slog.Any("k", []int{-1}), `[{"key":"k","value":{"arrayValue":{"values":[{"intValue":"-1"}]}}}]`},
		{slog.Any("k", []int64{2}), `[{"key":"k","value":{"arrayValue":{"values":[{"intValue":"2"}]}}}]`},
		{slog.Any("k", []float64{.5}), `[{"key":"k","value":{"arrayValue":{"values":[{"doubleValue":0.5}]}}}]`},
		{slog.Any("k", []bool{true, false}), `[{"key":"k","value":{"arrayValue":{"values":[{"boolValue":true},{"boolValue":false}]}}}]`},
		{slog.Any("k", errors.New("gone")), `[{"key":"k","value":{"stringValue":"gone"}}]`},
		{slog.Any("k", worse{}), `[{"key":"k","value":{"stringValue":"!PANIC: x"}}]`},
		{slog.Group("k", slog.Int("a", 1), slog.Group("b", slog.Bool("c", true))), `[{"key":"k","value":{"kvlistValue":{"values":[{"key":"a","value":{"intValue":"1"}},{"key":"b","value":{"kvlistValue":{"values":[{"key":"c","value":{"boolValue":true}}]}}}]}}}]`},
		{slog.Group("", slog.Int("a", 1), slog.Int("b", 2)), `[{"key":"a","value":{"intValue":"1"}},{"key":"b","value":{"intValue":"2"}}]`},
		{slog.Int("", 1), `[{"key":"","value":{"intValue":"1"}}]`},
	} {
		request := otlp.Request(otlp.Attributes(nil, 1, []slog.Attr{c.attr}))
		var got struct {
			ResourceSpans []struct{ Resource struct{ Attributes any } }
		}
		text := otlp.Traces().JSON(nil, request)
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		var want any
		if err := json.Unmarshal([]byte(c.want), &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.ResourceSpans[0].Resource.Attributes, want) {
			t.Errorf("%v: %s, want %s", c.attr, text, c.want)
		}
	}
}

// A field that the form does not know is left out, also between the items of a list.
func TestJSONLeavesOutUnknownFields(t *testing.T) {
	b := otlp.Bytes(nil, 1, otlp.Varint(otlp.Bytes(nil, 2, nil), 90, 1))
	b = otlp.Bytes(otlp.Varint(otlp.Bytes(b, 91, []byte("x")), 92, 7), 1, nil)
	if got, want := string(otlp.Logs().JSON([]byte("> "), b)), `> {"resourceLogs":[{"scopeLogs":[{}]},{}]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	for name, opt := range map[string]otlp.Option{
		"nil": nil, "nil client": otlp.WithClient(nil), "nil TLS": otlp.WithTLS(nil), "client and TLS": func(o *otlp.Options) error { o.Client, o.TLS = http.DefaultClient, &tls.Config{}; return nil }, "no key": otlp.WithResource(slog.Int("", 1)), "1023 bytes": otlp.WithMaxRequest(1023),
		"empty header": otlp.WithHeader("", "x"), "space": otlp.WithHeader("a b", "x"), "colon": otlp.WithHeader("a:", "x"), "not ASCII": otlp.WithHeader("ä", "x"), "delete": otlp.WithHeader("a\x7f", "x"),
		"no service": otlp.WithService(""), "newline": otlp.WithHeader("a", "x\ny"), "zero": otlp.WithHeader("a", "\x00"),
	} {
		if _, err := otlp.New("127.0.0.1", otlp.Logs(), []otlp.Option{opt}); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, opt := range map[string]otlp.Option{
		"1024 bytes": otlp.WithMaxRequest(1024), "header": otlp.WithHeader("x-A_1!", "a\tb ä"), "empty value": otlp.WithHeader("a", ""),
	} {
		c, err := otlp.New("127.0.0.1", otlp.Logs(), []otlp.Option{opt})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c.Close()
	}
}

// transport is one that was given, and fails to close.
type transport struct{ closed int }

func (*transport) Send(context.Context, otlp.Signal, []byte) (otlp.Refused, error) {
	return otlp.Refused{}, errors.New("not sent")
}
func (t *transport) Close() error { t.closed++; return errors.New("not closed") }

// A transport of another kind is used as it is; a shared connection stays open.
func TestTransportsThatAreGiven(t *testing.T) {
	given := &transport{}
	asked := ""
	c, err := otlp.NewConn("addr", []otlp.Option{func(o *otlp.Options) error {
		o.Opener = func(addr string, _ *otlp.Options) (otlp.Transport, error) { asked = addr; return given, nil }
		return nil
	}})
	if err != nil || asked != "addr" {
		t.Fatalf("%v, asked for %q", err, asked)
	}
	if err := c.Client(otlp.Logs()).Ping(t.Context()); err == nil || err.Error() != "not sent" {
		t.Errorf("Ping: %v", err)
	}
	if err := c.Shared().Close(); err != nil || given.closed != 0 {
		t.Errorf("Close of a shared one: %v, closed %d times", err, given.closed)
	}
	if err := c.Close(); err == nil || given.closed != 1 {
		t.Errorf("Close: %v, closed %d times", err, given.closed)
	}
}

// The form and the packing of requests, and that answers are read to their end.
func TestFormsOfRequests(t *testing.T) {
	long := otlp.Request(otlp.Resource(strings.Repeat("x", 5000), "", nil))
	for name, c := range map[string]struct {
		opts         []otlp.Option
		kind, packed string
		json         bool
	}{
		"protobuf":       {nil, "application/x-protobuf", "gzip", false},
		"plain protobuf": {[]otlp.Option{otlp.WithoutGzip()}, "application/x-protobuf", "", false},
		"JSON":           {[]otlp.Option{otlp.WithJSON()}, "application/json", "gzip", false},
		"plain JSON":     {[]otlp.Option{otlp.WithJSON(), otlp.WithoutGzip()}, "application/json", "", true},
	} {
		body := &closing{Reader: strings.NewReader("")}
		client, err := otlp.New("collector:4318", otlp.Logs(), append(c.opts, otlp.WithClient(&http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			b, err := io.ReadAll(r.Body)
			if kind, packed := r.Header.Get("Content-Type"), r.Header.Get("Content-Encoding"); err != nil || kind != c.kind || packed != c.packed || strings.HasPrefix(string(b), "{") != c.json {
				t.Errorf("%s: %q in %q, %.20q, %v", name, kind, packed, b, err)
			}
			return &http.Response{StatusCode: 200, Body: body, Request: r}, nil
		})})))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Send(t.Context(), long); err != nil || !body.closed {
			t.Errorf("%s: %v, the answer is closed: %v", name, err, body.closed)
		}
		client.Close()
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }
