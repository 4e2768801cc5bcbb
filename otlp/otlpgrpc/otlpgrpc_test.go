package otlpgrpc_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	engineotlp "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/internal/fault"
	wire "github.com/micro/go-platform/internal/otlp"
	"github.com/micro/go-platform/log"
	logotlp "github.com/micro/go-platform/log/otlp"
	"github.com/micro/go-platform/metrics"
	metricsotlp "github.com/micro/go-platform/metrics/otlp"
	"github.com/micro/go-platform/otlp/otlpgrpc"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/otlp"
)

// report sends n spans through a tracer and closes it.
func report(t *testing.T, n int, opts ...trace.Option) (trace.ReporterStats, error) {
	t.Helper()
	tr, err := trace.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		_, span := tr.Start(t.Context(), "x")
		span.End()
	}
	err = tr.Close(t.Context())
	return tr.Stats().Reporters[0], err
}

// The codes after which the protocol lets a request be sent again, and all others.
func TestCodesAndRetries(t *testing.T) {
	again := map[codes.Code]bool{
		codes.Canceled: true, codes.DeadlineExceeded: true, codes.Aborted: true, codes.OutOfRange: true, codes.Unavailable: true, codes.DataLoss: true,
	}
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		for _, asked := range []bool{false, true} {
			t.Run(fmt.Sprint(code, " asked ", asked), func(t *testing.T) {
				t.Parallel()
				st := status.New(code, "the reason")
				if asked {
					st, _ = st.WithDetails(&errdetails.ErrorInfo{Reason: "other"}, &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Millisecond)})
				}
				s := newServer(t, "127.0.0.1:0", func(n int) ([]byte, error) {
					if n == 1 {
						return nil, st.Err()
					}
					return nil, nil
				})
				stats, err := report(t, 1, trace.WithLogger(slog.New(slog.DiscardHandler)), otlp.Backend(s.addr, otlpgrpc.Transport()))
				if again[code] || code == codes.ResourceExhausted && asked {
					if err != nil || stats.Sent != 1 || stats.Retries != 1 || len(s.all()) != 2 {
						t.Errorf("%v, %+v after %d calls", err, stats, len(s.all()))
					}
				} else if !errors.Is(err, trace.ErrDropped) || stats.Failed != 1 || len(s.all()) != 1 || !strings.Contains(stats.LastError, "the reason") {
					t.Errorf("%v, %+v after %d calls", err, stats, len(s.all()))
				}
			})
		}
	}
}

func TestRetryInfoIsWaitedFor(t *testing.T) {
	for name, c := range map[string]struct{ asks, least, most time.Duration }{
		"as asked":   {700 * time.Millisecond, 700 * time.Millisecond, time.Hour},
		"not longer": {0, 0, 20 * time.Second},
		"negative":   {-time.Hour, 0, 20 * time.Second},
	} {
		var refused, taken time.Time
		s := newServer(t, "127.0.0.1:0", func(n int) ([]byte, error) {
			if n > 1 {
				taken = time.Now()
				return nil, nil
			}
			refused = time.Now()
			st, _ := status.New(codes.Unavailable, "later").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(c.asks)})
			return nil, st.Err()
		})
		if stats, err := report(t, 1, otlp.Backend(s.addr, otlpgrpc.Transport())); err != nil || stats.Retries != 1 {
			t.Fatal(stats, err)
		}
		if took := taken.Sub(refused); took < c.least || took > c.most {
			t.Errorf("%s: sent again after %v", name, took)
		}
	}
}

func TestPartialSuccessIsCounted(t *testing.T) {
	for rejected, why := range map[int]string{0: "", 3: "too old"} {
		s := newServer(t, "127.0.0.1:0", func(int) ([]byte, error) {
			return wire.Bytes(nil, 1, wire.Text(wire.Varint(nil, 1, uint64(rejected)), 2, why)), nil
		})
		stats, err := report(t, 10, trace.WithLogger(slog.New(slog.DiscardHandler)), otlp.Backend(s.addr, otlpgrpc.Transport()))
		if stats.Sent != uint64(10-rejected) || stats.Rejected != uint64(rejected) || (err != nil) != (rejected > 0) || !strings.Contains(stats.LastError, why) {
			t.Errorf("%+v, %v", stats, err)
		}
	}
}

// An attempt ends with its timeout and is made again; a server that comes back is found.
func TestASilentServerAndOneThatRestarts(t *testing.T) {
	s := newServer(t, "127.0.0.1:0", func(n int) ([]byte, error) {
		if n == 1 {
			time.Sleep(500 * time.Millisecond)
		}
		return nil, nil
	})
	tr, err := trace.New(otlp.Backend(s.addr, otlpgrpc.Transport()), trace.WithTimeout(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close(t.Context())
	_, span := tr.Start(t.Context(), "slow")
	span.End()
	if err := tr.Flush(t.Context()); err != nil || tr.Stats().Reporters[0].Retries == 0 {
		t.Errorf("%v, %+v", err, tr.Stats().Reporters)
	}
	s.Stop()
	_, span = tr.Start(t.Context(), "unheard")
	span.End()
	flushed := make(chan error)
	go func() { flushed <- tr.Flush(t.Context()) }()
	for before := tr.Stats().Reporters[0].Retries; tr.Stats().Reporters[0].Retries < before+2; {
		time.Sleep(time.Millisecond)
	}
	again := newServer(t, s.addr, nil)
	if err := <-flushed; err != nil || len(again.all()) == 0 { // more than one, if a busy machine answers after the timeout
		t.Errorf("%v, the new server has %d calls", err, len(again.all()))
	}
}

func TestHeadersMethodsAndCompression(t *testing.T) {
	for name, c := range map[string]struct {
		addr string
		opts []engineotlp.Option
		long bool
		auth string
		pack string
	}{
		"short":       {pack: ""},
		"long":        {long: true, pack: "gzip"},
		"long, plain": {long: true, opts: []engineotlp.Option{engineotlp.WithoutGzip()}},
		"token":       {opts: []engineotlp.Option{engineotlp.WithHeader("Authorization", "Bearer x")}, auth: "Bearer x"},
		"password":    {addr: "http://bob:secret@", auth: "Basic Ym9iOnNlY3JldA=="},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, "127.0.0.1:0", nil)
			opts := append([]engineotlp.Option{otlpgrpc.Transport(), engineotlp.WithHeader("X-Scope", "a"), engineotlp.WithHeader("X-Scope", "b")}, c.opts...)
			tr, err := trace.New(otlp.Backend(c.addr+s.addr, opts...))
			if err != nil {
				t.Fatal(err)
			}
			m, err := metrics.New(metricsotlp.Backend(c.addr+s.addr, opts...))
			if err != nil {
				t.Fatal(err)
			}
			l, err := log.New(logotlp.Backend(c.addr+s.addr, opts...))
			if err != nil {
				t.Fatal(err)
			}
			text := "hello"
			if c.long {
				text = strings.Repeat("hello ", 1000)
			}
			_, span := tr.Start(t.Context(), text)
			span.End()
			m.Counter("n", metrics.Help(text)).Inc()
			l.Logger("").Info(text)
			if err := errors.Join(tr.Close(t.Context()), m.Close(t.Context()), l.Close(t.Context())); err != nil {
				t.Fatal(err)
			}
			all := s.all()
			if len(all) != 3 {
				t.Fatalf("%d calls", len(all))
			}
			for _, method := range []string{"trace.v1.TraceService", "metrics.v1.MetricsService", "logs.v1.LogsService"} {
				i := slices.IndexFunc(all, func(c call) bool { return c.method == "/opentelemetry.proto.collector."+method+"/Export" })
				if i < 0 {
					t.Fatalf("no call of %s", method)
				}
				got := all[i]
				if fmt.Sprint(got.header["x-scope"]) != "[a b]" || strings.Join(got.header["authorization"], ",") != c.auth {
					t.Errorf("%s with %v", got.method, got.header)
				}
				if !strings.Contains(string(got.body), text) {
					t.Errorf("%s: not sent as it was: %.100q", got.method, got.body)
				}
			}
			packed := 0
			for _, p := range s.packs {
				if p == "gzip" {
					packed++
				}
			}
			if want := map[string]int{"gzip": 3}[c.pack]; packed != want {
				t.Errorf("%d requests by gzip, want %d: %q", packed, want, s.packs)
			}
		})
	}
}

func TestRequestsOfOneKiBAreCompressed(t *testing.T) {
	for size, packed := range map[int]bool{1023: false, 1024: true, 1025: true} {
		s := newServer(t, "127.0.0.1:0", nil)
		c, err := wire.New(s.addr, wire.Traces(), []wire.Option{otlpgrpc.Transport()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Send(t.Context(), make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if got := s.packs[0] == "gzip"; got != packed || len(s.all()[0].body) != size {
			t.Errorf("%d bytes: compressed %v, %d bytes arrived", size, got, len(s.all()[0].body))
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Send(ended, nil); !errors.Is(err, context.Canceled) || !errors.Is(err, fault.Unavailable) {
			t.Errorf("with an ended context: %v", err)
		}
		c.Close()
	}
}

func TestTLS(t *testing.T) {
	// net/http's test server has a certificate for 127.0.0.1.
	h := httptest.NewTLSServer(http.NotFoundHandler())
	defer h.Close()
	s := newServer(t, "127.0.0.1:0", nil, grpc.Creds(credentials.NewServerTLSFromCert(&h.TLS.Certificates[0])))
	roots := x509.NewCertPool()
	roots.AddCert(h.Certificate())
	trusts := engineotlp.WithTLS(&tls.Config{RootCAs: roots})
	for name, c := range map[string]struct {
		addr string
		opts []engineotlp.Option
		want error
	}{
		"trusted":          {s.addr, []engineotlp.Option{trusts}, nil},
		"trusted, https":   {"https://" + s.addr, []engineotlp.Option{trusts}, nil},
		"unknown":          {"https://" + s.addr, nil, trace.ErrUnavailable},
		"in clear":         {s.addr, nil, trace.ErrUnavailable},
		"TLS beside http:": {"http://" + s.addr, []engineotlp.Option{trusts}, trace.ErrInvalid},
	} {
		tr, err := trace.New(otlp.Backend(c.addr, append(c.opts, otlpgrpc.Transport())...), trace.WithDialTimeout(30*time.Second))
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err == nil {
			tr.Close(t.Context())
		}
	}
}

func TestAClientOfYourOwnStaysOpen(t *testing.T) {
	s := newServer(t, "127.0.0.1:0", nil)
	conn, err := grpc.NewClient(s.addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUserAgent("mine"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i := range 2 {
		if stats, err := report(t, 1, otlp.Backend("", otlpgrpc.WithClient(conn))); err != nil || stats.Sent != 1 {
			t.Errorf("tracer %d: %+v, %v", i, stats, err)
		}
	}
	if conn.GetState() == connectivity.Shutdown || len(s.all()) != 2 || !strings.HasPrefix(s.all()[0].header["user-agent"][0], "mine") {
		t.Errorf("%v, %d calls", conn.GetState(), len(s.all()))
	}
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	conn, err := grpc.NewClient("127.0.0.1:1", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for name, opt := range map[string]trace.Option{
		"no address":           otlp.Backend("", otlpgrpc.Transport()),
		"path":                 otlp.Backend("http://127.0.0.1/v1/traces", otlpgrpc.Transport()),
		"scheme":               otlp.Backend("grpc://127.0.0.1", otlpgrpc.Transport()),
		"JSON":                 otlp.Backend("127.0.0.1", otlpgrpc.Transport(), engineotlp.WithJSON()),
		"HTTP's client":        otlp.Backend("127.0.0.1", engineotlp.WithClient(http.DefaultClient), otlpgrpc.Transport()),
		"gRPC's header":        otlp.Backend("127.0.0.1", otlpgrpc.Transport(), engineotlp.WithHeader("grpc-timeout", "1S")),
		"bad header":           otlp.Backend("127.0.0.1", otlpgrpc.Transport(), engineotlp.WithHeader("a b", "1")),
		"nil client":           otlp.Backend("127.0.0.1:1", otlpgrpc.WithClient(nil)),
		"client and an addr":   otlp.Backend("127.0.0.1:1", otlpgrpc.WithClient(conn)),
		"client and TLS":       otlp.Backend("", otlpgrpc.WithClient(conn), engineotlp.WithTLS(&tls.Config{})),
		"client and WithJSON":  otlp.Backend("", otlpgrpc.WithClient(conn), engineotlp.WithJSON()),
		"path of a single '/'": otlp.Backend("http://127.0.0.1//", otlpgrpc.Transport()),
	} {
		if _, err := trace.New(opt); !errors.Is(err, trace.ErrInvalid) || !strings.HasPrefix(err.Error(), "trace/otlp: new: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	tr, err := trace.New(otlp.Backend("http://127.0.0.1:1/", otlpgrpc.Transport()), trace.WithLazy())
	if err != nil {
		t.Fatalf("an address that ends in a slash: %v", err)
	}
	tr.Close(t.Context())
}

func TestAnEngineOverGRPCCanBeClosedAgain(t *testing.T) {
	e, err := engineotlp.Open("127.0.0.1:1", otlpgrpc.Transport())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		err := e.Close()
		if err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}
